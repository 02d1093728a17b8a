"""States of the two graphs: what goes in, what is kept, what comes out, and what a node may return."""

from typing import Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from langgraph.types import Overwrite
from typing_extensions import TypedDict

from langchain_r2.types import (
    Allocation,
    ApprovalState,
    Attempt,
    ChatTurn,
    Direction,
    ModelRecord,
    Move,
    Plan,
    Reason,
    Rerun,
    Status,
    SubtaskResult,
    Verdict,
)


class R2Input(TypedDict):
    """Give ``query``, or ``messages`` whose last one is the user's."""

    query: NotRequired[str]
    turn: NotRequired[ChatTurn]
    """The turn of a conversation that the query is; ``ChatR2`` gives it."""
    rerun: NotRequired[Annotated[Rerun, EphemeralValue]]
    """An earlier run to go over again in part; :func:`langchain_r2.rerouting.rerouted` makes it."""
    messages: NotRequired[Annotated[list[AnyMessage], add_messages]]


def merged(old: list[SubtaskResult], new: list[SubtaskResult]) -> list[SubtaskResult]:
    """Reducer of ``results``: new ones take the place of those with their ids; an empty list starts anew."""
    ids = {result["id"] for result in new}
    kept = [result for result in old if result["id"] not in ids] if new else []
    return [*kept, *new]


class R2State(TypedDict):
    """What the router graph keeps. All of it is JSON data, but for the messages."""

    messages: Annotated[list[AnyMessage], add_messages]
    run_id: str
    """Names the run, in the call ledger too."""
    query: str
    turn: NotRequired[ChatTurn]
    rerun: NotRequired[Annotated[Rerun, EphemeralValue]]
    rerun_of: NotRequired[str | None]
    """The run that this one goes over again in part; None: it is a run of its own."""
    limits: NotRequired[dict[str, Any]]
    """The run's limits, as fields of ``R2Context``: what a process keeps to that goes on with it and states none."""
    approval: NotRequired[ApprovalState]
    plan: Plan
    allocation: Allocation
    results: Annotated[list[SubtaskResult], merged]
    attempts: list[Attempt]
    answer: str | None
    status: Status
    error: str | None


class R2Output(R2State):
    """What the router graph returns: all of its state."""


class R2Update(TypedDict, total=False):
    """What a node of the router graph may return."""

    messages: list[AnyMessage]
    run_id: str
    query: str
    rerun_of: str | None
    limits: dict[str, Any]
    approval: ApprovalState
    plan: Plan
    allocation: Allocation
    results: list[SubtaskResult] | Overwrite
    attempts: list[Attempt]
    answer: str | None
    status: Status
    error: str | None


class SentSubtask(TypedDict):
    """What one subtask of ``execution="send"`` is sent: the run's state, and which subtask it is."""

    run: R2State
    id: str


class Evidence(TypedDict):
    """Facts that the subtask graph's edges decide on. Nodes gather them, so that the same state decides the same."""

    cheaper: str | None
    """The next cheaper model; None at the bottom or at the floor."""
    record: ModelRecord | None
    """How the allocated model did on this kind of subtask."""
    cheaper_record: ModelRecord | None
    remaining_usd: float
    """What the plan's subtasks that have not run are expected to cost as allocated."""
    left_usd: float | None
    """What the budget has left; None without a budget."""
    stronger: str | None
    """The next stronger model; None at the top."""
    stronger_usd: float
    """What the stronger model is expected to cost on this subtask."""
    replan_usd: float | None
    """What a sub-plan is expected to cost; None where the subtask cannot be replanned."""


class SubtaskState(TypedDict):
    """What the subtask graph keeps: one subtask of one plan."""

    id: str
    text: str
    """The subtask with the answers it refers to put in."""
    template: str | None
    """Its text with the references, where something that a model wrote is to be put in; None: ``text`` is all of it."""
    inline: dict[str, str]
    """Answers that the template refers to, by subtask id."""
    query: str
    known: dict[str, str]
    """Answers that it needs but does not refer to, by subtask id."""
    kind: str
    model: str
    direction: Direction
    reason: Reason
    depth: int
    """How many replans led here."""
    tries: int
    lowered: bool
    """Whether it was reallocated downward: never twice."""
    attempts: list[Attempt]
    moves: NotRequired[list[Move]]
    verdict: Verdict | None
    evidence: Evidence
    subplan: Plan | None
    suballocation: Allocation | None
    max_attempts: int
    upward: bool
    downward: bool
    ask_above_usd: NotRequired[float | None]
    """A step up that is expected to cost more waits for a person's approval; None: no step does."""
    verbatim: NotRequired[bool]
    """Whether a model that reads instructions is shown the run's conversation as it is, instead of the text."""


class SubtaskUpdate(TypedDict, total=False):
    """What a node of the subtask graph may return."""

    model: str
    direction: Direction
    reason: Reason
    tries: int
    lowered: bool
    attempts: list[Attempt]
    moves: list[Move]
    verdict: Verdict | None
    evidence: Evidence
    subplan: Plan | None
    suballocation: Allocation | None
    max_attempts: int
