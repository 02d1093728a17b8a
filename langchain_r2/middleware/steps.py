"""Steps of an agent loop: what kind they are, and which model a kind starts at. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_r2.edges import RECORD_CONFIDENCE, RECORD_TRIES
from langchain_r2.middleware.state import Route
from langchain_r2.types import Direction, Plan, Reason, Subtask

USER: Final = "user"
"""Kind of the step that answers a message of the user."""
MOST_PATIENCE: Final = 64
_SHOWN: Final = 4000
"""Characters of the user's message that an allocator is shown."""


def step_kind(messages: Sequence[BaseMessage]) -> str:
    """``user``, ``tool:<names>`` after tools, ``tool_error`` after one that failed, or ``other``."""
    last = messages[-1] if messages else None
    if isinstance(last, HumanMessage) and not _is_summary(last):
        return USER
    if not isinstance(last, ToolMessage):
        return "other"
    results = _last_results(messages)
    if any(result.status == "error" for result in results):
        return "tool_error"
    return "tool:" + ",".join(sorted({result.name or "" for result in results}))


def step_query(messages: Sequence[BaseMessage]) -> str:
    """The last thing that the user asked; the whole of it is not needed to choose a model."""
    asked = [m.text for m in messages if isinstance(m, HumanMessage) and not _is_summary(m) and m.text.strip()]
    said = asked or [m.text for m in messages if m.text.strip()]
    return str(said[-1])[:_SHOWN] if said else "(no text)"


def step_plan(query: str, kind: str) -> Plan:
    """The step as a plan of one subtask, which is what allocators read."""
    text = query if kind in {USER, "other"} else f"{query}\n(the step after {kind.replace('tool:', 'the result of ')})"
    subtask = Subtask(id="1", text=text, depends_on=[])
    return Plan(subtasks=[subtask], parse="clean", confidence=None, rejected=[])


def new_route(model: str) -> Route:
    """The route of a kind that was just allocated."""
    return Route(model=model, home=model, streak=0, confidence_sum=0.0, patience=RECORD_TRIES)


def start_of(
    route: Route, order: Sequence[str], rank: Mapping[str, int], *, floor: str | None, downward: bool
) -> tuple[str, Direction, Reason]:
    """The model that a step starts at, and why: the route's, or one step below it.

    Above the model that it was allocated to, a streak of accepted answers brings it down again; below that, their mean
    confidence has to be as high as in a graph's downward edge.

    Args:
        route: Of the kind of step.
        order: Names of the models that can take the call, weakest first.
        rank: Places of all pool models.
        floor: The model below which nothing goes down.
        downward: Whether it may go down at all.
    """
    at = rank[route["model"]]
    here = next((name for name in order if rank[name] >= at), order[-1])
    lowest = rank[floor] if floor else 0
    below = [name for name in order if lowest <= rank[name] < rank[here]]
    if downward and below and here == route["model"] and route["streak"] >= route["patience"]:
        back = at > rank[route["home"]]
        if back or route["confidence_sum"] / route["streak"] >= RECORD_CONFIDENCE:
            return below[-1], "downward", "record"
    return here, "initial", "allocated"


def after(
    route: Route, started: str, taken: str, *, accepted: bool, confidence: float | None, reason: Reason | None
) -> Route:
    """The route after a step.

    Args:
        route: Before it.
        started: The model that it started at.
        taken: The model whose answer was taken.
        accepted: Whether it was accepted.
        confidence: In that answer.
        reason: Why the first model was left; None where it was not.
    """
    if taken == started == route["model"]:
        streak, total = (route["streak"] + 1, route["confidence_sum"]) if accepted else (0, 0.0)
        return Route(**{**route, "streak": streak, "confidence_sum": total + (confidence or 0.0) if accepted else 0.0})
    patience = route["patience"]
    if taken != started and reason not in {"unreachable", "budget"}:  # nothing was learnt from those
        patience = min(MOST_PATIENCE, 2 * patience)
    return Route(
        model=taken,
        home=route["home"],
        streak=int(accepted),
        confidence_sum=(confidence or 0.0) if accepted else 0.0,
        patience=patience,
    )


def _last_results(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        results.append(message)
    return results


def _is_summary(message: BaseMessage) -> bool:
    return message.additional_kwargs.get("lc_source") == "summarization"


def last_reply(result: Sequence[Any]) -> AIMessage | None:
    """The model's message among those that a call added."""
    return next((message for message in result if isinstance(message, AIMessage)), None)
