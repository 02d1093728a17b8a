"""Going over a finished run again: one subtask changes, what depends on it is executed anew, all else is kept."""

from collections.abc import Mapping
from typing import Any

from langchain_r2.errors import BadValueError
from langchain_r2.parsing import ancestors, linked_plan
from langchain_r2.pool import ModelPool
from langchain_r2.run_record import without_attempts
from langchain_r2.state import R2Input
from langchain_r2.types import Allocation, Plan, Rerun, Subtask, SubtaskResult


def rerouted(run: Mapping[str, Any], subtask_id: str, *, model: str | None = None, text: str | None = None) -> R2Input:
    """The input with which a router graph goes over a run again, from a change of one subtask on.

    The decomposer and the allocator are not asked. The subtask and those that need its answer, directly or not, are
    executed; a model that was chosen is not left for a cheaper one. The bill has what is newly paid and nothing else.
    On the thread of the run, the new answer takes the place of the old one.

    .. code-block:: python

        state = graph.invoke({"query": "..."}, thread)
        better = graph.invoke(rerouted(state, "2", model="large"), thread)

    Args:
        run: What the graph returned, ``graph.get_state(...).values``, or a run record.
        subtask_id: The subtask that changes.
        model: The pool model that gets it; None: the one that it was allocated.
        text: What it asks instead, with references to other subtasks (``#1``) as in any plan; None: what it asked.

    Raises:
        BadValueError: The run did not execute a plan, has no such subtask, or the new text makes its plan unusable.
    """
    lacks = [name for name in ("query", "plan", "allocation", "results") if not run.get(name)]
    if lacks:
        raise BadValueError("run", f"one without {', '.join(lacks)}", "one that executed its plan")
    whole = run["plan"]
    subtasks: list[Subtask] = whole["subtasks"] if isinstance(whole, Mapping) else whole
    ids = [s["id"] for s in subtasks]
    if subtask_id not in ids:
        raise BadValueError("subtask", subtask_id, ids)
    if text is not None:
        subtasks = _with_text(subtasks, subtask_id, text)
    affected = {s["id"] for s in subtasks if s["id"] == subtask_id or subtask_id in ancestors(subtasks, s["id"])}
    results: dict[str, SubtaskResult] = {r["id"]: r for r in run["results"]}
    # A subtask that never ran, since one that it needed had no answer, has nothing to keep.
    kept = [_kept(results[i]) for i in ids if i in results and i not in affected and results[i]["answer"]]
    before: Allocation = run["allocation"]
    models, reasons = dict(before["models"]), dict(before["reasons"])
    if model is not None:
        models[subtask_id], reasons[subtask_id] = model, "chosen"
    rerun = Rerun(
        of=run.get("rerun_of") or run.get("run_id") or "",
        query=run["query"],
        plan=Plan(
            subtasks=subtasks,
            parse="clean",
            confidence=whole["confidence"] if isinstance(whole, Mapping) and text is None else None,
            rejected=[],
        ),
        allocation=Allocation(models=models, reasons=reasons, note=before["note"]),
        kept=kept,
    )
    return R2Input(rerun=rerun)


def check_rerun(rerun: Rerun, pool: ModelPool) -> None:
    """Check what is to be taken over, before anything is paid: it may come from a file, or over HTTP.

    Raises:
        BadValueError: It is not what :func:`rerouted` makes.
        UnknownModelError: The pool does not have one of its models.
    """
    hint = "Make it with rerouted(...)."
    given: object = rerun
    lacks = sorted(Rerun.__annotations__.keys() - given.keys()) if isinstance(given, Mapping) else ["all"]
    if lacks:
        raise BadValueError("rerun", f"one without {', '.join(lacks)}", list(Rerun.__annotations__), hint)
    subtasks = rerun["plan"]["subtasks"]
    ids = [s["id"] for s in subtasks]
    unknown = [d for number, s in enumerate(subtasks) for d in s["depends_on"] if d not in ids[:number]]
    if not subtasks or unknown or len(set(ids)) < len(ids):
        raise BadValueError("plan of a rerun", ids, "subtasks in an order that they can be executed in", hint)
    kept, models = [r["id"] for r in rerun["kept"]], rerun["allocation"]["models"]
    if wrong := [i for i in kept if i not in ids] + [i for i in ids if i not in models]:
        raise BadValueError("rerun", wrong, "a model for every subtask, and no results of others", hint)
    for id_ in ids:
        if id_ not in kept:
            _ = pool[models[id_]]


def _with_text(subtasks: list[Subtask], subtask_id: str, text: str) -> list[Subtask]:
    """A plan in which one subtask asks something else: it needs what its new text refers to."""
    if not text.strip():
        raise BadValueError("text of a subtask", text, "a text that is not empty")
    rows = [
        (s["id"], text.strip(), []) if s["id"] == subtask_id else (s["id"], s["text"], list(s["depends_on"]))
        for s in subtasks
    ]
    linked = linked_plan(rows)
    if linked.problem:
        raise BadValueError("text of a subtask", text, "one whose references make a plan", f"It is {linked.problem}.")
    return linked.subtasks


def _kept(result: SubtaskResult) -> SubtaskResult:
    """A result as a later run takes it over."""
    return SubtaskResult(**{**without_attempts(result), "kept": True})
