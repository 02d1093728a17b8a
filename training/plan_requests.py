"""A plan to run, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from langchain_r2.config import R2Context
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import plan_lines
from langchain_r2.types import Attempt, ParseOutcome, Subtask, SubtaskResult
from training.executions import Stored
from training.items import TrainItem

RunStatus = Literal["right", "wrong", "ungradable", "unusable", "failed"]
"""``unusable``: the reply is no plan, or no allocation; nothing was run. ``failed``: a call, the time or the budget
failed, which says nothing about the plan."""

AS_ALLOCATED: Final = R2Context(reallocate_upward=False, reallocate_downward=False, max_replans=0, max_attempts=1)
"""Limits of a run that keeps to its allocation."""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """A plan to run."""

    item: TrainItem
    plan: Stored
    """The decomposer's reply; :func:`as_reply` makes one of a plan's texts."""
    allocation: Mapping[str, str] | Stored | None = None
    """Model names by subtask id; an allocator's reply; None: the runner's allocator is asked."""
    repetition: int = 0
    """Which of several equal runs it is, for models that sample."""


@dataclass(frozen=True, kw_only=True)
class PlanRun:
    """What came of a plan."""

    status: RunStatus
    answer: str | None = None
    cost_usd: float | None = 0.0
    """Full price of all calls, the router's too; None: a price is unknown."""
    router_usd: float | None = 0.0
    """Its decomposer's and allocator's share."""
    tokens: int = 0
    """Read and written, by all calls."""
    plan: list[Subtask] = field(default_factory=list)
    parse: ParseOutcome = "malformed"
    """Of the reply that was given: the plan's, or the allocation's where that was given as a reply."""
    allocation: Mapping[str, str] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    results: list[SubtaskResult] = field(default_factory=list)
    error: str | None = None
    """Why it is unusable, failed or ungradable."""
    wall_s: float = 0.0


def asked_as_json(spec: ModelSpec) -> bool:
    """As the prompted routers do: a fine-tuned model writes lines."""
    return spec.prompt_style == "instruct" and "structured_output" in spec.capabilities


def key_of(request: PlanRequest) -> tuple[Any, ...]:
    """What a run follows from."""

    def usage(reply: Stored) -> tuple[Any, ...]:
        return reply.text, reply.input_tokens, reply.output_tokens, reply.cached_input_tokens

    given = request.allocation
    told = usage(given) if isinstance(given, Stored) else tuple(sorted(given.items())) if given is not None else None
    return request.item, usage(request.plan), told, request.repetition


def as_reply(texts: Sequence[str], *, input_tokens: int = 0, output_tokens: int = 0) -> Stored:
    """A plan's texts as a decomposer's reply."""
    return Stored(plan_lines(texts), input_tokens, output_tokens)
