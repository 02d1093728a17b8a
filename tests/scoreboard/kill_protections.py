"""What a killed run is protected by, and how to take it out of a process: by patching the library from here."""

import copy
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

from langchain_r2 import resuming
from langchain_r2.flow import run
from langchain_r2.nodes import decompose
from langchain_r2.transport.journal import Journal


def _ledger() -> None:
    """The graph is made without one: see ``kill_process.build``."""


def _admission() -> None:
    """Runs get an id that nobody wrote down."""

    def admitted(*given: Any, **named: Any) -> Any:
        yield from ()
        return uuid.uuid4().hex

    decompose.admitted = admitted  # type: ignore[attr-defined]


def _commit_before_use() -> None:
    """Replies are handed on at once, and written down a little later."""
    settle = Journal.settled

    def settled(self: Journal, *arguments: Any) -> Any:
        late, self._entry = copy.copy(self), None
        threading.Timer(0.05, lambda: run(settle(late, *arguments))).start()
        yield from ()

    Journal.settled = settled  # type: ignore[method-assign, assignment]


def _checkpoint_rule() -> None:
    """Whether a run has steps to go is read from ``get_state().next``, as users of LangGraph do."""
    read, ended = resuming.read_checkpoint, [False]

    def read_checkpoint(snapshot: Any) -> Any:
        ended[0] = not snapshot.next and snapshot.values.get("answer") is None
        return read(snapshot)

    def way_on(known: Any, checkpoint: Any, *, keeps: bool) -> Any:
        if known is None:
            return "checkpoint" if checkpoint else None
        return "again" if checkpoint is None or ended[0] else "checkpoint"

    resuming.read_checkpoint, resuming.way_on = read_checkpoint, way_on


PROTECTIONS: Final[dict[str, Callable[[], None]]] = {
    "ledger": _ledger,
    "admission": _admission,
    "commit_before_use": _commit_before_use,
    "checkpoint_rule": _checkpoint_rule,
}
