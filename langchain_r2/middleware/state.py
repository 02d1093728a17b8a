"""What the middleware adds to an agent's state. All of it is JSON data, safe in any checkpointer."""

from typing import Annotated, Any, NotRequired, TypeVar

from langchain.agents.middleware.types import AgentState, OmitFromInput, PrivateStateAttr
from typing_extensions import TypedDict

from langchain_r2.types import Attempt, Direction, Reason

Row = TypeVar("Row", bound=Any)


class Decision(TypedDict):
    """How one model call of the agent loop was routed."""

    call: str
    """The ``subtask_id`` of its attempts."""
    kind: str
    """The kind of step that it was."""
    model: str | None
    """Whose answer the agent went on with; None: no call could be paid for."""
    direction: Direction
    """How the call came to that model."""
    accepted: bool
    reason: Reason
    """Why the answer was accepted, or why it was taken all the same."""
    note: str | None
    """What was wrong with the allocator's output, if anything."""


class Route(TypedDict):
    """Where a kind of step stands in a thread."""

    model: str
    """The pool model that it starts at."""
    home: str
    """The one that it was allocated to: it comes back there after a step up."""
    streak: int
    """Accepted answers of ``model`` in a row."""
    confidence_sum: float
    """Of those answers; one without a signal counts 0."""
    patience: int
    """How long a streak has to be before a cheaper model is tried again. Doubled by a step up that an answer caused."""


class RunMark(TypedDict):
    """Which run of the agent it is: one from the first message to the end, also where a person interrupts it."""

    id: str
    before: int
    """Attempts in the state that belong to earlier runs of the thread."""


def with_new(old: list[Row], new: list[Row]) -> list[Row]:
    """Reducer: adds rows; one that is there already, because a subagent's state came back too, is not added again."""
    return [*old, *(row for row in new if row not in old)]


def with_routes(old: dict[str, Route], new: dict[str, Route]) -> dict[str, Route]:
    """Reducer: the new routes take the place of the old ones of their kinds."""
    return {**old, **new}


class RouterState(AgentState[Any]):
    """The agent's state with the router's part. A reducer has to be the last annotation, or LangGraph loses it."""

    r2_attempts: NotRequired[Annotated[list[Attempt], OmitFromInput, with_new]]
    """Every model call, subagents' included: ``langchain_r2.ledger.bill`` adds them up."""
    r2_decisions: NotRequired[Annotated[list[Decision], OmitFromInput, with_new]]
    r2_routes: NotRequired[Annotated[dict[str, Route], PrivateStateAttr, with_routes]]
    r2_run: NotRequired[Annotated[RunMark, PrivateStateAttr]]
