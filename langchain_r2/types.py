"""The records that runs are made of: plain JSON data with string keys, safe in any checkpointer and over HTTP."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

Group = Literal["SLM", "MLM", "LLM"]
"""Capability group of a pool model: small, medium, large."""

Role = Literal["decomposer", "allocator", "executor", "evaluator", "aggregator", "tool"]
"""What a call was for. ``evaluator`` is the evaluation model (``M_eval``) of the paper; ``tool``: a model
called one."""

ROUTER_ROLES: frozenset[Role] = frozenset({"decomposer", "allocator", "evaluator"})
"""Roles whose cost is the router's share of the bill."""

Direction = Literal["initial", "upward", "downward", "replan"]
"""How an attempt came to its model: as allocated, after a step up, after a step down, or inside a replanned subtask."""

Reason = Literal[
    "allocated",
    "default_route",
    "chosen",
    "explored",
    "low_confidence",
    "invalid_output",
    "truncated",
    "refused",
    "unreachable",
    "record",
    "budget",
    "confident",
    "no_signal",
    "top_of_pool",
    "attempts_used",
    "not_approved",
]
"""Why a decision was taken.

First tries: ``allocated`` (by the allocator), ``default_route`` (the allocator gave nothing usable), ``chosen`` (by a
person: no evidence takes it to a cheaper model), ``explored`` (a step cheaper than allocated, to see how that model
does). Upward and replan:
``low_confidence``, ``invalid_output``, ``truncated``, ``refused``, ``unreachable``. Downward: ``record`` (the model's
record on this kind of subtask says that one step cheaper will do), ``budget`` (what is left cannot pay for the plan as
allocated). Acceptance: ``confident``, ``no_signal`` (the model gives no confidence). Best effort: ``top_of_pool``,
``attempts_used``, ``budget``, ``not_approved`` (a person said no to a dearer model). ``no_signal`` sends upward where
the model is known to be wrong more often than right.
"""

ParseOutcome = Literal["clean", "repaired", "malformed"]
"""``clean``: exactly the asked form. ``repaired``: another form that is clear. ``malformed``: unusable."""

Status = Literal["ok", "best_effort", "budget_exhausted", "rejected", "error"]
"""How a run ended. ``best_effort``: an answer, of which at least one part was not accepted. ``rejected``: a person who
was asked for approval of the plan said no; nothing of it was executed."""

ApprovalState = Literal["not_asked", "asked", "approved", "edited", "rejected"]
"""What became of a plan that somebody has to approve before it is executed."""

AggregationMode = Literal["last", "join", "llm"]
"""How the answers of the subtasks become the answer: the last one, all joined, or written by a pool model."""


class Subtask(TypedDict):
    """One subtask of a plan."""

    id: str
    text: str
    """What to do. ``#1`` stands for the answer of subtask 1, ``#query`` for the query."""
    depends_on: list[str]


class Plan(TypedDict):
    """A directed acyclic graph of subtasks, listed so that what a subtask needs comes before it."""

    subtasks: list[Subtask]
    parse: ParseOutcome
    confidence: float | None
    """Probability that the plan is right, where the decomposer gives one."""
    rejected: list[str]
    """Why earlier samples were rejected, in order; a plan that fell back to the query itself says so here."""


class ToolUse(TypedDict):
    """What a tool was asked for."""

    name: str
    args: dict[str, Any]


class Attempt(TypedDict):
    """One model call, good or failed, of any role: the row of the ledger and of the trace."""

    subtask_id: str | None
    """None for calls about the whole query."""
    role: Role
    model: str
    group: Group | None
    """None for a router model, which is not in the pool."""
    direction: Direction
    reason: Reason
    confidence: float | None
    signal: NotRequired[str]
    """What the confidence was read from; absent where there is none."""
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None where the model's price is stated to be unknown."""
    wall_s: float
    error_type: str | None
    answer: str | None
    """The reply's text, or for an executor the answer taken from it."""
    started_at: NotRequired[float]
    """When it was sent, in seconds since 1970; absent where that was lost, and in old records."""
    verdict: NotRequired["Verdict"]
    """What was thought of its answer; absent for other roles than the executor, and for a try that was made again."""
    prompt: NotRequired[str]
    """What was sent, without keys; only in records of runs that kept their prompts."""
    message: NotRequired[dict[str, Any]]
    """The whole reply as data, where it answers a conversation; absent elsewhere."""
    calls: NotRequired[list[ToolUse]]
    """Of a tool: what it was asked for. Of a model: the tools that it called instead of answering."""


class Allocation(TypedDict):
    """Which pool model gets which subtask."""

    models: dict[str, str]
    """Subtask id to pool model name."""
    reasons: dict[str, Reason]
    """Subtask id to ``allocated``, ``default_route``, ``chosen`` or ``explored``."""
    note: str | None
    """What was wrong with the allocator's output, if anything."""


class Verdict(TypedDict):
    """What is thought of an attempt's answer."""

    accepted: bool
    reason: Reason


MoveKind = Literal["upward", "downward", "replan", "not_replanned"]
"""``not_replanned``: a sub-plan was asked for, and it was not worth running."""


class Move(TypedDict):
    """A change of a subtask's model or plan, or one that was thought of and left."""

    kind: MoveKind
    subtask_id: str
    model: str
    """The model that it had."""
    to: str | None
    """The model that it got; None where that is for a sub-plan to say."""
    reason: str
    """A :data:`Reason`; of ``not_replanned``: ``not_split`` or ``improbable``."""
    confidence: float | None
    """Of the answer before; None where there was none."""
    at: float
    """When, in seconds since 1970."""
    approved: NotRequired[bool]
    """True where a person was asked for approval of it, and gave it; absent where nobody was asked."""


class SubtaskResult(TypedDict):
    """How a subtask ended."""

    id: str
    text: str
    """The subtask with the answers it refers to put in."""
    kind: str
    """What subtasks share a record with it."""
    answer: str
    model: str
    """The model whose answer it is; for a replanned subtask that of the last part."""
    verdict: Verdict
    attempts: list[Attempt]
    parts: list[Subtask]
    """The sub-plan that was run in its place; empty where there was none."""
    part_results: NotRequired[list["SubtaskResult"]]
    """How its subtasks ended, without their attempts: those are among the whole's."""
    moves: NotRequired[list[Move]]
    """What changed on the way, in order; for its parts, see theirs."""
    kept: NotRequired[bool]
    """Whether it is an earlier run's, taken over as it was; its attempts are on that run's bill."""


class CostEstimate(TypedDict):
    """What something is going to cost. None where a price that it needs is unknown."""

    min_usd: float | None
    """Every subtask accepted at the first try, on the cheapest model it may start with, with the shortest reply."""
    expected_usd: float | None
    """Every subtask accepted at the first try on its model, with prompts and replies of typical length."""
    worst_usd: float | None
    """What no run passes: every try allowed, replans, failed calls that are billed; never more than the budget."""


class Rerun(TypedDict):
    """A run that takes the plan of an earlier one over, with what is not affected by a change."""

    of: str
    """Id of the earlier run; empty where it is not known."""
    query: str
    plan: Plan
    allocation: Allocation
    kept: list[SubtaskResult]
    """Results that stay as they are, without their attempts."""


class ModelRecord(TypedDict):
    """How a pool model did on one kind of subtask so far."""

    tries: int
    accepted: int
    confidence_sum: float


class OutputForm(TypedDict):
    """The form that a reply to a conversation has to have."""

    method: Literal["json_schema", "function_calling", "json_mode"]
    schema: dict[str, Any]
    """A JSON schema with a title; empty for JSON of any form."""
    strict: bool | None
    """Whether the endpoint has to enforce it; None: as the model's class does by itself."""


class ChatTurn(TypedDict):
    """What a run answers beside its query: the conversation, and what the caller asks of its chat model."""

    messages: list[dict[str, Any]]
    """The conversation as LangChain writes messages as data; the last one is to be answered."""
    system: str
    """Its system prompts: every model that reads instructions sees them."""
    digest: str
    """What came before the query, cut to a bound: what routers, and models that get a part of the query, see of it."""
    whole: bool
    """Whether it is given to one model as it is, instead of being decomposed."""
    model: str | None
    """The pool model that the caller chose; None: the allocator does."""
    tools: list[dict[str, Any]]
    """Tools that may be called, as OpenAI writes them."""
    tool_choice: Any
    output: OutputForm | None
    options: dict[str, Any]
    """Further options of the call that answers, such as ``stop`` and ``temperature``."""
    stream: Literal["no", "final", "first"]
    """Whether the answer is passed on while it is written: never; from a try that cannot be followed by another; from
    the first try, which is then the only one."""


class RunRecord(TypedDict):
    """A whole run as one JSON line."""

    id: str
    query: str
    answer: str | None
    status: Status
    error: str | None
    plan: list[Subtask]
    attempts: list[Attempt]
    cost_usd: float | None
    cost_by_role: dict[str, float | None]
    cost_by_model: dict[str, float | None]
    wall_s: float
    started_at: NotRequired[float]
    """When the run began, in seconds since 1970. This and what follows is not in old records."""
    plan_confidence: NotRequired[float | None]
    plan_rejected: NotRequired[list[str]]
    """Why earlier plans were rejected."""
    allocation: NotRequired[Allocation]
    results: NotRequired[list[SubtaskResult]]
    """How the subtasks ended, without their attempts: those are the record's."""
    approval: NotRequired[ApprovalState]
    """What became of the plan that a person had to approve of; absent where nobody was asked."""
    rerun_of: NotRequired[str]
    """The run whose plan and unaffected answers it took over; absent where it took over none."""
    for_training: NotRequired[bool]
    """Whether it was recorded so that routers may learn from it and be tested on it; absent: no."""
