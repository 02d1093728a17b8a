"""The call ledger in a SQLite file."""

import sqlite3
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from langchain_r2.call_ledger import tables
from langchain_r2.call_ledger.base import Admission, CallEntry, Run, Spent
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
        self._under_way: dict[tuple[str, str], str] = {}
        """Who makes a call of this process, by run and key; only the writer's thread touches it."""
        self._writer = Writer(self.path, tables.prepare)

    def admit(self, thread_id: str | None, asked: dict[str, Any], context: dict[str, Any]) -> Future[Admission]:
        """Admit a run: the thread's newest, if it is open and was asked the same; else a new one."""
        return self._writer.submit(lambda db: tables.admit(db, thread_id, asked, context))

    def recall(self, run_id: str, key: str, owner: str) -> Future[list[CallEntry] | None]:
        """The tries of a call so far, which is ``owner``'s from now on; None: the same call is being made here."""

        def work(db: sqlite3.Connection) -> list[CallEntry] | None:
            if (run_id, key) in self._under_way:
                return None
            rows = tables.tries(db, run_id, key)
            self._under_way[run_id, key] = owner
            return rows

        return self._writer.submit(work)

    def send(self, entry: CallEntry) -> Future[None]:
        """Write a try down that is about to be sent."""
        return self._writer.submit(lambda db: tables.insert(db, entry))

    def settle(self, entry: CallEntry) -> Future[None]:
        """Write down how a try ended."""
        return self._writer.submit(lambda db: tables.settle(db, entry))

    def withdraw(self, entry: CallEntry) -> Future[None]:
        """Take a try out that was not sent after all."""
        return self._writer.submit(lambda db: tables.delete(db, entry.name))

    def release(self, run_id: str, key: str, owner: str, *, failed: bool) -> Future[None]:
        """Let go of a call; with ``failed``, no more tries are to be made of it."""

        def work(db: sqlite3.Connection) -> None:
            if self._under_way.get((run_id, key)) != owner:
                return
            del self._under_way[run_id, key]
            if failed:
                tables.give_up(db, run_id, key)

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
