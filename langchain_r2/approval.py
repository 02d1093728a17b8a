"""A person in the loop: what a run asks before it spends, and what may be answered.

A run with ``R2Context(approve_plan=True)`` stops before execution, one with ``approve_upward_usd`` before a step up
that is expected to cost more. What it asks is a :class:`PlanRequest` or an :class:`UpwardRequest`, the value of a
LangGraph interrupt; the answer is a :class:`Decision`, given by ``Command(resume=...)`` or :func:`langchain_r2.resume`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypeAlias, TypeVar, cast, get_args

from langgraph.types import interrupt
from typing_extensions import TypedDict

from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.parsing import ParsedPlan, linked_plan
from langchain_r2.pool import ModelPool
from langchain_r2.types import Allocation, CostEstimate, Plan, Reason, Subtask

Action = Literal["approve", "edit", "reject"]
"""What somebody who is asked may do."""

_CHECKPOINTER: Final = "__pregel_checkpointer"
"""Where LangGraph tells a node which checkpointer its graph has, its own or that of a graph around it."""

T = TypeVar("T")


class PlannedSubtask(TypedDict):
    """A subtask of an edited plan. What its text refers to (``#1``) becomes a dependency by itself."""

    id: str
    text: str
    depends_on: NotRequired[list[str]]
    """Further subtasks that it needs."""


class Decision(TypedDict):
    """An answer to a request. A plain ``"approve"`` or ``"reject"`` will do as well."""

    action: Action
    subtasks: NotRequired[list[PlannedSubtask]]
    """With ``edit``, of a plan: all its subtasks, in place of those asked about."""
    models: NotRequired[dict[str, str]]
    """With ``edit``, of a plan: pool models by subtask id, for those that change."""
    model: NotRequired[str]
    """With ``edit``, of a step up: the pool model to try instead."""
    note: NotRequired[str]
    """With ``reject``: why; shown as the run's error."""


class PlanRequest(TypedDict):
    """What is asked before a plan is executed."""

    kind: Literal["plan"]
    query: str
    plan: Plan
    allocation: Allocation
    estimate: CostEstimate
    """Of executing it; what planning cost is in ``spent_usd``."""
    spent_usd: float | None
    kept: list[str]
    """Subtasks that are not executed, since an earlier run's answers are taken over."""
    problem: str | None
    """What was wrong with the decision before; None at first."""


class UpwardRequest(TypedDict):
    """What is asked before a subtask goes to a dearer model."""

    kind: Literal["upward"]
    query: str
    subtask_id: str
    text: str
    model: str
    """The model that tried it last."""
    to: str
    """The model that is to try it next."""
    reason: Reason
    """Why the last answer was not accepted."""
    answer: str | None
    confidence: float | None
    estimate: CostEstimate
    """Of that one try."""
    spent_usd: float | None
    """What this subtask has cost so far."""
    problem: str | None


Request: TypeAlias = PlanRequest | UpwardRequest


class Waiting(NamedTuple):
    """A request that nobody has answered yet."""

    id: str
    """The interrupt's id: the key of the answer where several wait."""
    request: Request


class EditedPlan(NamedTuple):
    """A plan as somebody wants it."""

    plan: Plan
    allocation: Allocation


def check_asks(config: Mapping[str, Any]) -> None:
    """Check, before anything is paid, that a run that may stop can go on again.

    Args:
        config: A node's.

    Raises:
        BadValueError: Its graph has no checkpointer.
    """
    if not (config.get("configurable") or {}).get(_CHECKPOINTER):
        hint = "Give create_r2_graph one, such as InMemorySaver(), and the run a thread_id."
        raise BadValueError("checkpointer", None, "one, where a run asks for approval", hint)


def decided(request: Request, read: Callable[[Decision], T]) -> T:
    """Ask, stop until there is an answer, and read it; one that cannot be read is asked for again, with what is wrong.

    Args:
        request: What is asked.
        read: From a decision to what is made of it; raises ``ConfigurationError`` where it is not allowed.
    """
    while True:  # LangGraph runs the node anew for each answer, and gives it those before
        answer = interrupt(dict(request))
        try:
            return read(decision(answer))
        except (BadValueError, UnknownModelError) as error:
            request["problem"] = str(error)


def decision(value: object) -> Decision:
    """A decision from what was answered.

    Raises:
        BadValueError: It is none.
    """
    hint = 'For example {"action": "edit", "models": {"2": "large"}}.'
    found: Any = {"action": value} if isinstance(value, str) else value
    if not isinstance(found, Mapping) or found.get("action") not in get_args(Action):
        raise BadValueError("decision", value, [{"action": name} for name in get_args(Action)], hint)
    unknown = sorted(str(key) for key in found.keys() - Decision.__annotations__.keys())
    if unknown:
        raise BadValueError("decision", unknown, list(Decision.__annotations__), hint)
    if found["action"] != "edit" and (extra := sorted(found.keys() & {"subtasks", "models", "model"})):
        raise BadValueError("decision", extra, 'only beside {"action": "edit"}', hint)
    note = found.get("note", "")
    if not isinstance(note, str):
        raise BadValueError("note of a decision", note, "a text")
    return cast("Decision", dict(found))


def edited_plan(made: Decision, asked: PlanRequest, pool: ModelPool) -> EditedPlan:
    """The plan and allocation that a decision to edit wants.

    Raises:
        BadValueError: It changes nothing, its plan is unusable, or an edit is of the wrong kind.
        UnknownModelError: The pool has no such model.
    """
    if "model" in made or not made.keys() & {"subtasks", "models"}:
        raise BadValueError("edit of a plan", sorted(made), ["subtasks", "models"])
    plan, models = asked["plan"], _models(made.get("models", {}))
    if "subtasks" in made:
        if asked["kept"]:
            hint = "Change one subtask of it with rerouted(...)."
            raise BadValueError("subtasks", "new ones", "none in a run that keeps earlier answers", hint)
        plan = Plan(**{**plan, "subtasks": planned(made["subtasks"])})
    ids = [s["id"] for s in plan["subtasks"]]
    if wrong := [i for i in models if i not in ids or i in asked["kept"]]:
        raise BadValueError("models", wrong, [i for i in ids if i not in asked["kept"]])
    before = asked["allocation"]
    chosen = {id_: pool[name].name for id_, name in models.items()}
    default = pool.middle("MLM").name
    return EditedPlan(
        plan,
        Allocation(
            models={i: chosen.get(i, before["models"].get(i, default)) for i in ids},
            reasons={i: "chosen" if i in chosen else before["reasons"].get(i, "default_route") for i in ids},
            note=before["note"],
        ),
    )


def _models(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise BadValueError("models", value, '{"2": "large"}: pool models by subtask id')
    return {str(id_): str(name) for id_, name in value.items()}


def planned(subtasks: object) -> list[Subtask]:
    """The subtasks of an edited plan, with their dependencies, in an order that they can be executed in.

    Raises:
        BadValueError: They are no plan.
    """
    form = '[{"id": "1", "text": "..."}, {"id": "2", "text": "... #1"}]'
    rows: list[tuple[str, str, list[str]]] = []
    for row in subtasks if isinstance(subtasks, list) else [None]:
        needs = row.get("depends_on", []) if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(needs, list):
            raise BadValueError("subtasks", subtasks, form)
        id_, text = row.get("id"), row.get("text")
        if not isinstance(id_, str) or not isinstance(text, str) or not text.strip():
            raise BadValueError("subtask", dict(row), form)
        rows.append((id_, text.strip(), [str(need) for need in needs]))
    linked: ParsedPlan = linked_plan(rows)
    if linked.problem or not linked.subtasks:
        raise BadValueError("plan", linked.problem or [], "subtasks whose references lead to others, without a cycle")
    return linked.subtasks


def chosen_model(made: Decision, asked: UpwardRequest, pool: ModelPool) -> str | None:
    """The model that a subtask goes to after a decision; None: it stays with the answer that it has.

    Raises:
        BadValueError: An edit is of the wrong kind.
        UnknownModelError: The pool has no such model.
    """
    if made["action"] == "reject":
        return None
    if made["action"] == "approve":
        return asked["to"]
    if made.keys() & {"subtasks", "models"} or "model" not in made:
        raise BadValueError("edit of a step up", sorted(made), ["model"])
    return pool[str(made["model"])].name
