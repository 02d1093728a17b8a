"""One phase of GRPO: a role learns from rollouts of its own, while the other one is frozen (TRL + PEFT).

Source: METHOD 4.2, after Route-and-Reason (arXiv 2506.05901). What differs from TRL's defaults:

1. Rollouts without a reward are masked out of the loss, not only given no advantage: neither the KL term nor the length
   of the batch counts them.
2. The order of queries is fixed by seed and curriculum before the phase begins, so that a resumed phase goes on with
   the query that it stopped at.
3. ``beta`` is the weight of the KL divergence from the adapter that the phase started with.

Shapes: ``_P`` queries of a step, ``_G`` rollouts of the group of one query, ``_T`` tokens.
"""

import os
import random
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from langchain_r2.errors import BadValueError
from training.executions import Stored
from training.grpo_metrics import PhaseMetrics
from training.grpo_settings import GrpoSettings
from training.items import TrainItem
from training.policy import Chat, NumpyRollouts, Policy, prompt_tokens
from training.rollouts import Rollout, Rollouts

_CHECKPOINT: Final = "checkpoint-"
_WHOLE: Final = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")
"""What a checkpoint has once it was written whole; the last one is written last."""


class Example(NamedTuple):
    """A query that the role learns on."""

    item: TrainItem
    chat: Chat
    plan: Stored | None = None
    """For an allocator: the decomposer's reply."""
    difficulty: float = 0.0
    """For the curriculum; only its order counts."""


def train_phase(
    policy: Policy,
    examples: Sequence[Example],
    rollouts: Rollouts,
    settings: GrpoSettings,
    folder: Path,
    *,
    stage: str,
    metrics: PhaseMetrics,
    until_step: int | None = None,
) -> Path:
    """Train one phase, or go on with it from its last checkpoint.

    Args:
        policy: What learns; its adapter is changed.
        examples: The queries.
        rollouts: Scores them.
        settings: How.
        folder: Of the phase's checkpoints.
        stage: What the lines of metrics are of.
        metrics: Where they go.
        until_step: Stop there although the phase has more steps; None: at its end.

    Returns:
        The folder of the adapter, within the last checkpoint.

    Raises:
        BadValueError: There is nothing to learn on.
        RolloutsFailedError: Too many rollouts had no reward; checkpoints stay.
    """
    import torch
    from transformers import PrinterCallback

    from training.grpo_callback import StepCallback

    if not examples:
        hint = "For an allocator: no plan of the decomposer could be read."
        raise BadValueError("examples", 0, "at least one query", hint)
    torch.set_num_threads(1 if not torch.cuda.is_available() else torch.get_num_threads())
    until = settings.steps if until_step is None else until_step
    last = last_checkpoint(folder)
    done = int(last.name.removeprefix(_CHECKPOINT)) if last else 0
    if os.environ.get("RANK", "0") == "0":
        metrics.drop_after(stage, done)
    if last is not None and done >= until:
        return last
    trainer = make_trainer(policy, examples, rollouts, settings, folder)
    trainer.remove_callback(PrinterCallback)  # our bar and file say it
    trainer.add_callback(StepCallback(stage, rollouts, metrics, until))
    with warnings.catch_warnings():
        # peft's own call, at every step
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    saved = last_checkpoint(folder)
    assert saved is not None, "the callback saves the last step"
    return saved


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole; one that a kill tore is deleted."""
    found = [f for f in folder.glob(f"{_CHECKPOINT}*") if f.name.removeprefix(_CHECKPOINT).isdigit()]
    for checkpoint in sorted(found, key=lambda f: int(f.name.removeprefix(_CHECKPOINT)), reverse=True):
        if all((checkpoint / name).is_file() and (checkpoint / name).stat().st_size for name in _WHOLE):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def make_trainer(
    policy: Policy, examples: Sequence[Example], rollouts: Rollouts, settings: GrpoSettings, folder: Path
) -> Any:  # noqa: ANN401 - trl has no types
    """TRL's trainer on our rollouts."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    class RolloutTrainer(GRPOTrainer):
        """Masks rollouts without a reward out of the loss."""

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return without_abstained(output, rollouts.abstained, self.accelerator.gather)

    numpy: Any = NumpyRollouts(policy, seed=settings.seed) if settings.generation == "numpy" else None
    rows: list[dict[str, Any]] = [
        {"prompt": e.chat, "example": i, "prompt_tokens": prompt_tokens(policy.tokenizer, e.chat)}
        for i, e in enumerate(examples)
    ]
    order = query_order([e.difficulty for e in examples], settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
        return RolloutTrainer(
            model=policy.model,
            reward_funcs=RolloutReward(examples, rollouts),
            args=trainer_arguments(settings, folder, [rows[i]["prompt_tokens"] for i in order]),
            train_dataset=_dataset([rows[i] for i in order]),
            processing_class=policy.tokenizer,
            rollout_func=numpy,
        )


def without_abstained(output: dict[str, Any], abstained: Sequence[bool], gather: Any) -> dict[str, Any]:  # noqa: ANN401
    """Rollouts as TRL scored them, those without a reward masked out as it masks truncated ones."""
    import torch

    if any(abstained):
        mask_PG_T = output["completion_mask"]
        told_PG = torch.tensor([not a for a in abstained], device=mask_PG_T.device)
        output["completion_mask"] = mask_PG_T * told_PG.unsqueeze(1).to(mask_PG_T.dtype)
        output["num_items_in_batch"] = gather(output["completion_mask"].sum()).sum()
    return output


class RolloutReward:
    """TRL's reward function: completions in, rewards out."""

    __name__ = "plan_run"

    def __init__(self, examples: Sequence[Example], rollouts: Rollouts) -> None:
        """Take what the rows of the data set stand for."""
        self.examples, self.rollouts = examples, rollouts

    def __call__(
        self,
        completions: Sequence[Sequence[Mapping[str, str]]],
        completion_ids: Sequence[Sequence[int]],
        example: Sequence[int],
        prompt_tokens: Sequence[int],
        **_: Any,
    ) -> list[float | None]:
        """Score a batch; each completion is billed by its own tokens."""
        batch = []
        for number, completion, ids, read in zip(example, completions, completion_ids, prompt_tokens, strict=True):
            reply = Stored(completion[0]["content"], read, len(ids))
            batch.append(Rollout(self.examples[number].item, reply, self.examples[number].plan))
        return self.rollouts.score(batch)


def query_order(difficulties: Sequence[float], settings: GrpoSettings) -> list[int]:
    """Which query each place of the phase gets: every one once before any twice, then again.

    With ``easy_to_hard`` the whole phase goes from easy to hard once, however often a query comes in it.
    """
    rng = random.Random(settings.seed)
    places = settings.steps * settings.queries_per_step
    order: list[int] = []
    while len(order) < places:
        epoch = list(range(len(difficulties)))
        rng.shuffle(epoch)
        order += epoch
    order = order[:places]
    if settings.curriculum == "easy_to_hard":
        order.sort(key=lambda i: difficulties[i])  # stable: equal ones stay in their random order
    return order


def trainer_arguments(settings: GrpoSettings, folder: Path, prompt_lengths: Sequence[int] = ()) -> Any:  # noqa: ANN401
    """Our settings as TRL's."""
    from trl.trainer.grpo_config import GRPOConfig

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    micro = settings.micro_batch or settings.rollouts // processes
    if settings.rollouts % (micro * processes):
        allowed = f"a multiple of micro_batch {micro} times {processes} process(es)"
        raise BadValueError("rollouts of a step", settings.rollouts, allowed)
    vllm = settings.generation.startswith("vllm_")
    generation: dict[str, Any] = {"use_vllm": vllm}
    if vllm:
        generation |= {"vllm_mode": settings.generation.removeprefix("vllm_")}
        generation |= {"vllm_gpu_memory_utilization": settings.vllm_memory_share}
        generation |= {"vllm_max_model_length": max(prompt_lengths, default=0) + settings.max_completion_tokens}
    if settings.vllm_server_url:
        generation["vllm_server_base_url"] = settings.vllm_server_url
    return GRPOConfig(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.rollouts // (micro * processes),
        num_generations=settings.group_size,
        num_iterations=settings.iterations,
        max_completion_length=settings.max_completion_tokens,
        temperature=settings.temperature,
        beta=settings.beta,
        loss_type=settings.loss,
        scale_rewards=settings.scale_rewards,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        shuffle_dataset=False,  # the order is made before
        save_steps=settings.save_steps,
        save_total_limit=1,
        logging_steps=1,
        seed=settings.seed,
        bf16=settings.dtype == "bfloat16",
        activation_checkpointing=settings.gradient_checkpointing,
        dataloader_pin_memory=vllm,
        report_to=[],
        disable_tqdm=True,  # ours shows the cost
        use_cpu=not _has_gpu(),
        **generation,
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _dataset(rows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - datasets has no types
    from datasets import Dataset

    return Dataset.from_list([dict(row) for row in rows])
