"""Approval on the command line: shows what a run asks, reads the answer from the terminal, goes on."""

import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langchain_r2.approval import Decision, PlannedSubtask, PlanRequest, UpwardRequest
from langchain_r2.cli.view import clean, note
from langchain_r2.config import R2Context
from langchain_r2.ledger import usd
from langchain_r2.types import CostEstimate

_CHANGE: Final = re.compile(r"\s*([\w.]+)\s*([=:])\s*(.*\S)\s*")
_YES, _NO = frozenset({"y", "yes", "approve"}), frozenset({"n", "no", "reject"})


def keeping(limits: R2Context) -> dict[str, Any]:
    """What a graph needs besides, to stop for a question and go on: a checkpointer for this process."""
    return {"checkpointer": InMemorySaver()} if limits.asks else {}


def settled(
    graph: Any,  # noqa: ANN401 - its import is slow
    state: Mapping[str, Any],
    config: RunnableConfig,
    limits: R2Context,
) -> Mapping[str, Any]:
    """Ask whoever sits at the terminal until a run needs no more answers.

    Args:
        graph: The router graph.
        state: What it returned; with ``__interrupt__`` where it waits.
        config: The run's.
        limits: The run's.
    """
    while stops := state.get("__interrupt__"):
        answers = {
            stop.id: ask_plan(stop.value) if stop.value["kind"] == "plan" else ask_up(stop.value) for stop in stops
        }
        state = graph.invoke(Command(resume=answers), config, context=limits)
    return state


def ask_plan(asked: PlanRequest) -> Decision:
    """Show a plan, and read what is to be done with it; changes are gathered until it is approved."""
    subtasks = [
        PlannedSubtask(id=s["id"], text=s["text"], depends_on=s["depends_on"]) for s in asked["plan"]["subtasks"]
    ]
    models, texts = dict(asked["allocation"]["models"]), False
    chosen: dict[str, str] = {}
    _complain(asked["problem"])
    while True:
        Console(stderr=True).print(_table(subtasks, {**models, **chosen}, set(asked["kept"])))
        changed = "; with your changes it may differ" if chosen or texts else ""
        note(f"cost: {_range(asked['estimate'])}{changed}; planning cost {usd(asked['spent_usd'])} USD", "")
        said = _read("execute it? y, n, or a change: `2 = model`, `2: text`")
        if said is None or said.lower() in _NO:
            return _no(said)
        if said.lower() in _YES:
            made = Decision(action="edit" if chosen or texts else "approve")
            if chosen:
                made["models"] = chosen
            if texts:
                made["subtasks"] = subtasks
            return made
        change = _CHANGE.fullmatch(said)
        row = next((s for s in subtasks if change and s["id"] == change[1]), None)
        if change is None or row is None:
            _complain(f"{said!r} is none of these")
        elif change[2] == "=":
            chosen[row["id"]] = change[3]
        else:
            row["text"], row["depends_on"], texts = change[3], [], True


def ask_up(asked: UpwardRequest) -> Decision:
    """Show a step up, and read whether it is to be made."""
    _complain(asked["problem"])
    shown = "nothing usable" if not asked["answer"] else repr(asked["answer"])
    sure = "" if asked["confidence"] is None else f", confidence {asked['confidence']:.3f}"
    note(f"subtask {asked['subtask_id']}: {asked['text']}", "bold")
    note(f"  {asked['model']} answered {shown} ({asked['reason']}{sure})", "")
    note(f"  the next try, on {asked['to']}, costs {_range(asked['estimate'])}", "")
    while True:
        said = _read("make it? y, n, or another model: `= model`")
        if said is None or said.lower() in _NO:
            return _no(said)
        if said.lower() in _YES:
            return Decision(action="approve")
        if said.startswith("=") and said[1:].strip():
            return Decision(action="edit", model=said[1:].strip())
        _complain(f"{said!r} is none of these")


def _table(subtasks: list[PlannedSubtask], models: Mapping[str, str], kept: set[str]) -> Table:
    table = Table("", "subtask", "model", title="Plan", title_justify="left", title_style="bold", box=None)
    for subtask in subtasks:
        to = "(answer kept)" if subtask["id"] in kept else models[subtask["id"]]
        table.add_row(*(Text(clean(cell)) for cell in (subtask["id"], subtask["text"], to)))
    return table


def _range(estimate: CostEstimate) -> str:
    least, expected, worst = (usd(estimate[key]) for key in ("min_usd", "expected_usd", "worst_usd"))
    return f"{least} - {expected} expected - {worst} USD at worst"


def _complain(problem: str | None) -> None:
    if problem:
        note(problem, "red")


def _no(said: str | None) -> Decision:
    return Decision(action="reject", note="the plan was not approved" if said else "standard input ended")


def _read(question: str) -> str | None:
    """A line from the terminal; None where there is none. Questions go to stderr: stdout is for results."""
    note(question, "bold")
    line = sys.stdin.readline()
    return line.strip() if line else None
