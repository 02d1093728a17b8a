"""What the model calls of one run of an agent share: its budget, and the rows that no state has yet."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langchain_r2.config import R2Context
from langchain_r2.flow import run as drive
from langchain_r2.ledger import Budget
from langchain_r2.middleware.state import Decision, with_new
from langchain_r2.nodes.budgets import RunBudgets
from langchain_r2.types import Attempt

_MOST: Final = 4096
"""Runs that are kept: an agent that is killed never says that it ended."""


@dataclass
class Rows:
    """Attempts and decisions on their way into a state."""

    attempts: list[Attempt] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, other: "Rows") -> None:
        """Take the rows of another."""
        self.attempts += other.attempts
        self.decisions += other.decisions

    def taken(self) -> "Rows":
        """All rows so far; none are left."""
        rows = Rows(self.attempts, self.decisions)
        self.attempts, self.decisions = [], []
        return rows

    def update(self) -> dict[str, Any]:
        """As an update of the agent's state."""
        return {"r2_attempts": self.attempts, "r2_decisions": self.decisions} if self.attempts else {}


@dataclass
class AgentRun:
    """A run that is under way in this process."""

    budget: Budget
    pending: Rows
    """Of a call in which all models failed: an exception cannot bring them into the state, the next call does."""


class AgentRuns:
    """Runs by their ids."""

    def __init__(self) -> None:
        """Start without any."""
        self._by_id: OrderedDict[str, tuple[RunBudgets, Rows]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str, limits: R2Context, attempts: Iterable[Attempt]) -> AgentRun:
        """A run; one that goes on in another process starts with what its attempts cost."""
        around = _INSIDE.get()
        with self._lock:
            known = self._by_id.get(run_id)
            if known is None:
                known = self._by_id[run_id] = RunBudgets(around.budget if around else None), Rows()
                if len(self._by_id) > _MOST:
                    self._by_id.popitem(last=False)
        budgets, pending = known
        return AgentRun(drive(budgets.of(run_id, limits, attempts)), pending)  # without a ledger it waits for nothing


@dataclass
class Inside:
    """A tool that runs within an agent's run: a subagent in it pays from the same budget, and reports its calls."""

    budget: Budget
    rows: Rows = field(default_factory=Rows)


_INSIDE: Final[ContextVar[Inside | None]] = ContextVar("langchain_r2_inside", default=None)


@contextmanager
def inside(budget: Budget) -> Iterator[Rows]:
    """While a tool runs: agents in it belong to this run. Gives the rows of their calls."""
    around, mine = _INSIDE.get(), Inside(budget)
    token = _INSIDE.set(mine)
    try:
        yield mine.rows
    finally:
        _INSIDE.reset(token)
        if around is not None:
            around.rows.add(mine.rows)


def report(rows: Rows) -> None:
    """Tell the agent around this one, if any, of calls."""
    around = _INSIDE.get()
    if around is not None:
        around.rows.add(rows)


def with_rows(result: ToolMessage | Command[Any], rows: Rows) -> ToolMessage | Command[Any]:
    """A tool's result that also brings the rows into the state."""
    update = rows.update()
    if not update:
        return result
    if isinstance(result, ToolMessage):
        return Command(update={"messages": [result], **update})
    if result.graph is not None:
        return result
    known = result.update or {}
    if not isinstance(known, Mapping):
        return replace(result, update=[*known, *update.items()])
    # deepagents brings a subagent's state itself: its rows are then there already.
    merged = {name: with_new(known.get(name, []), new) for name, new in update.items()}
    return replace(result, update={**known, **merged})
