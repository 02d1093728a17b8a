"""Settings of reinforcement: one phase, the rounds around it, the two roles that are trained, review."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from langchain_r2.errors import BadValueError
from langchain_r2.model_spec import PromptStyle
from training.rewards import RewardSettings

Mode = Literal["alternating", "joint", "decomposer", "allocator"]
"""Which roles learn: one after the other in rounds; both, taking turns every few steps; only one."""


@dataclass(frozen=True, kw_only=True)
class RoleSettings:
    """The model of a role: what reinforcement starts from."""

    base: str
    """Folder or Hugging Face id of any causal language model."""
    adapter: str | None = None
    """LoRA adapter to go on from, as ``sft`` or ``export`` wrote it; None: a new one."""
    tokenizer: str | None = None
    """Where its tokenizer is, if neither with the adapter nor with the base."""
    rank: int = 16
    """Of a new adapter."""
    prompt_style: PromptStyle = "bare"
    engine: Literal["local", "embedded"] = "local"
    """What runs it while it is frozen: transformers, or numpy for the embedded router's own kind of model."""
    shuffle_aliases: bool = True
    """Whether an allocator sees models under names and in an order that change from query to query."""


@dataclass(frozen=True, kw_only=True)
class GrpoSettings:
    """One phase: a role learns while the other one is frozen."""

    group_size: int = 4
    """Rollouts of one query that are compared with each other."""
    queries_per_step: int = 4
    steps: int = 200
    """Of one phase."""
    eta: float = 0.3
    kappa: float = 0.0
    malformed: float = -1.0
    """The reward, see ``rewards.py``."""
    beta: float = 0.02
    """Weight of the KL divergence from what the phase started with; 0: it is neither counted nor measured."""
    learning_rate: float = 1e-4
    temperature: float = 1.0
    max_completion_tokens: int = 192
    loss: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    iterations: int = 1
    """Updates that one set of rollouts is used for."""
    curriculum: Literal["random", "easy_to_hard"] = "random"
    generation: Literal["transformers", "numpy", "vllm_colocate", "vllm_server"] = "transformers"
    """What writes rollouts. ``numpy``: for models of the embedded router's kind, without torch."""
    vllm_server_url: str | None = None
    vllm_memory_share: float = 0.3
    dtype: Literal["float32", "bfloat16"] = "float32"
    micro_batch: int | None = None
    """Rollouts per forward pass and device; None: all."""
    gradient_checkpointing: bool = False
    save_steps: int = 50
    """Steps between checkpoints."""
    max_abstained_share: float = 0.2
    """Of the last rollouts, how many may go without a reward (the pool failed, the answer could not be graded) before
    the phase ends with an error."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what TRL would only find out later.

        Raises:
            BadValueError: A value is out of range, or two contradict each other.
        """
        bounds = {"group_size": 2, "queries_per_step": 1, "steps": 1, "save_steps": 1, "iterations": 1}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise BadValueError(name, getattr(self, name), f"a whole number from {least} up")
        if not 0 <= self.max_abstained_share < 1:
            raise BadValueError("max_abstained_share", self.max_abstained_share, "a share from 0, less than 1")
        if self.beta < 0:
            raise BadValueError("beta", self.beta, "a number from 0 up")
        if (self.generation == "vllm_server") != (self.vllm_server_url is not None):
            hint = "It is needed with generation = 'vllm_server', and with nothing else."
            raise BadValueError("vllm_server_url", self.vllm_server_url, "an address of `trl vllm-serve`", hint)
        if self.micro_batch is not None and self.rollouts % self.micro_batch:
            raise BadValueError("micro_batch", self.micro_batch, f"a divisor of the {self.rollouts} rollouts of a step")
        _ = self.rewards  # checks the weights

    @property
    def rewards(self) -> RewardSettings:
        """What is rewarded."""
        return RewardSettings(eta=self.eta, kappa=self.kappa, malformed=self.malformed)

    @property
    def rollouts(self) -> int:
        """Of one step."""
        return self.group_size * self.queries_per_step


@dataclass(frozen=True, kw_only=True)
class ReviewSettings:
    """Whose answers a reviewer checks in rollouts (METHOD 4.4)."""

    policy: Literal["never", "low_confidence", "sampled", "always"] = "never"
    reviewer: str = "strongest"
    """A pool model."""
    threshold: float = 0.9
    """Confidence below which ``low_confidence`` asks."""
    share: float = 0.1
    """Of the answers that ``sampled`` asks about."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("threshold", "share"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadValueError(f"{name} of the review", getattr(self, name), "a number from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class AlternateSettings:
    """The rounds."""

    mode: Mode = "alternating"
    rounds: int = 2
    reallocate: bool = False
    """Whether rollouts may change models and plans while they run, as a deployed router does; else a plan is rewarded
    for what its own allocation gives."""
    joint_steps: int = 10
    """Steps of a turn with ``joint``: each role then learns beside what the other one has just become."""

    def __post_init__(self) -> None:
        """Check the counts."""
        for name in ("rounds", "joint_steps"):
            if getattr(self, name) < 1:
                raise BadValueError(name, getattr(self, name), "a whole number from 1 up")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One thing to do, with a folder of its own."""

    name: str
    kind: Literal["train", "refresh"]
    role: Literal["decomposer", "allocator"]
    """Who learns, or who has just learned."""
    phase: str
    """Folder of the checkpoints; turns of one phase share it."""
    until_step: int
    """Of the phase: where this stage ends."""


def stages(alternate: AlternateSettings, grpo: GrpoSettings) -> Iterator[Stage]:
    """Everything that is to be done, in order: who learns, and the data anew after each."""
    roles: tuple[Any, ...] = ("decomposer", "allocator")
    if alternate.mode in roles:
        roles = (alternate.mode,)
    for number in range(1, alternate.rounds + 1):
        turns = [grpo.steps]
        if alternate.mode == "joint":
            turns = [*range(alternate.joint_steps, grpo.steps, alternate.joint_steps), grpo.steps]
        for until in turns:
            for role in roles:
                phase = f"r{number}-{role}"
                name = phase if until == grpo.steps else f"{phase}-{until}"
                yield Stage(name=name, kind="train", role=role, phase=phase, until_step=until)
                # Within a round of turns an allocator learns on the plans that the round began with.
                if until == grpo.steps:
                    yield Stage(name=f"{phase}-data", kind="refresh", role=role, phase=phase, until_step=until)
