"""The call ledger in a SQLite file."""

import sqlite3
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from langchain_r2.call_ledger import tables
from langchain_r2.call_ledger.base import Admission, CallEntry, Found, Run, Spent
from langchain_r2.call_ledger.writer import Writer


class CallLedger:
    """Runs and their calls in a SQLite file, so that a killed run goes on without paying for a reply twice.

    A run is written down before its first call, a call before it is sent, its reply before anybody sees it. Safe to use
    from threads and event loops; several processes may share a file as long as each thread of runs is one process's at
    a time. Give it to ``create_r2_graph(..., ledger=...)``, and close it, or use it in a ``with``, when the graph is
    done. It is one per file and process: calls under way are known to the ledger that began them.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a ledger, or make one.

        Args:
            path: The file. Beside it lie SQLite's ``-wal`` and ``-shm`` files while it is open.

        Raises:
            BadValueError: The file cannot be written, or is something else.
        """
        self.path = Path(path)
        self._under_way: set[tuple[str, str, int]] = set()
        """Tries of this process; only the writer's thread touches it."""
        self._writer = Writer(self.path, tables.prepare)

    def admit(self, thread_id: str | None, asked: dict[str, Any], context: dict[str, Any]) -> Future[Admission]:
        """Admit a run: the thread's newest, if it is open and was asked the same; else a new one."""
        return self._writer.submit(lambda db: tables.admit(db, thread_id, asked, context))

    def begin(self, entry: CallEntry) -> Future[Found]:
        """Look a try up; one that is unknown is written down as ``sent`` and is the caller's to send."""
        return self._writer.submit(lambda db: self._begin(db, entry))

    def end(self, entry: CallEntry) -> Future[None]:
        """Settle a try that was begun."""

        def work(db: sqlite3.Connection) -> None:
            tables.settle(db, entry)
            self._under_way.discard(entry.name)

        return self._writer.submit(work)

    def release(self, entry: CallEntry, *, sent: bool) -> Future[None]:
        """Let go of a try that was begun and has no outcome; without ``sent`` it is as if it had never been."""

        def work(db: sqlite3.Connection) -> None:
            self._under_way.discard(entry.name)
            if not sent:
                tables.delete(db, entry.name)

        return self._writer.submit(work)

    def finish(self, run_id: str, result: dict[str, Any]) -> Future[None]:
        """Keep a run's result."""
        return self._writer.submit(lambda db: tables.finish(db, run_id, result))

    def reopen(self, run_id: str) -> Future[None]:
        """Open a run again whose result did not reach its thread."""
        return self._writer.submit(lambda db: tables.reopen(db, run_id))

    def detach(self, prefix: str) -> Future[None]:
        """Let all threads whose id begins so start anew; what their runs cost stays written down."""
        return self._writer.submit(lambda db: tables.detach(db, prefix))

    def newest(self, thread_id: str) -> Future[Run | None]:
        """The thread's newest run."""
        return self._writer.submit(lambda db: tables.newest(db, thread_id))

    def run(self, run_id: str) -> Future[Run | None]:
        """A run by its id."""
        return self._writer.submit(lambda db: tables.run(db, run_id))

    def open_runs(self) -> Future[list[Run]]:
        """The runs that :func:`~langchain_r2.resume` would go on with, oldest first."""
        return self._writer.submit(tables.open_runs)

    def calls(self, run_id: str) -> Future[list[CallEntry]]:
        """All tries of a run, in the order in which they were begun."""
        return self._writer.submit(lambda db: tables.calls(db, run_id))

    def spent(self, run_id: str) -> Future[Spent]:
        """What a run's calls came to so far."""
        return self._writer.submit(lambda db: tables.spent(db, run_id))

    def close(self) -> None:
        """Write what waits and close the file."""
        self._writer.close()

    def __enter__(self) -> Self:
        """The ledger itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _begin(self, db: sqlite3.Connection, entry: CallEntry) -> Found:
        known = tables.find(db, entry.name)
        if known is None:
            tables.insert(db, entry)
            self._under_way.add(entry.name)
            return Found("send", entry)
        if known.state == "sent":
            if entry.name in self._under_way:
                return Found("wait", known)
            # Its process died, or gave it up: it may have been answered and billed.
            known = known._replace(state="lost", cost_usd=known.worst_usd, tokens=known.worst_tokens)
            tables.settle(db, known)
        return Found("lost" if known.state == "lost" else "replay", known)
