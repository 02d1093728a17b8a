"""The one thread that writes to a ledger's file: what waits meanwhile shares a commit."""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from langchain_r2.errors import BadValueError, LedgerError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Waiting: TypeAlias = "queue.SimpleQueue[tuple[Work, Future[Any]] | None]"

BUSY_S: Final = 60.0
"""How long to wait for another process that is writing to the same file."""
NEEDED: Final = "a new file, or a call ledger"
MAX_GROUP: Final = 256
"""How many pieces of work share a commit at most."""


class Writer:
    """Runs pieces of work on one connection, in order, and ends their futures when they are committed."""

    def __init__(self, path: Path, prepare: Work) -> None:
        """Open the file, prepare it, and start the thread.

        Raises:
            BadValueError: The file cannot be opened, or is none of ours.
        """
        self.path, self._prepare = path, prepare
        self._lock = threading.Lock()
        self._closed = False
        self._queue, self._thread, self._pid = self._start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Have a piece of work done; its future ends after the commit.

        Raises:
            LedgerError: The ledger was closed.
        """
        future: Future[T] = Future()
        with self._lock:  # nothing may come behind the end mark
            if self._pid != os.getpid():  # a fork has no thread, and a connection must not be shared
                self._queue, self._thread, self._pid = self._start()
            if self._closed:
                raise LedgerError(str(self.path), "it was closed", "Keep it open while a graph that uses it runs.")
            self._queue.put((work, future))
        return future

    def close(self) -> None:
        """Finish what waits, and close the file. To close twice is allowed."""
        with self._lock:
            mine, self._closed = not self._closed and self._pid == os.getpid(), True
            if mine:
                self._queue.put(None)
        if mine:
            self._thread.join()

    def _start(self) -> tuple[Waiting, threading.Thread, int]:
        waiting: Waiting = queue.SimpleQueue()
        connection = _connect(self.path, self._prepare)
        arguments = (connection, waiting, str(self.path))
        thread = threading.Thread(target=_serve, args=arguments, name="r2-call-ledger", daemon=True)
        thread.start()
        return waiting, thread, os.getpid()


def _connect(path: Path, prepare: Work) -> sqlite3.Connection:
    try:
        # Questions and replies are in it: nobody else's to read.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise BadValueError("file of a call ledger", str(path), "a file that can be written", str(error)) from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives the machine, not only the process
        connection.execute("BEGIN IMMEDIATE")
        prepare(connection)
        connection.execute("COMMIT")
    except (sqlite3.Error, BadValueError) as error:
        connection.close()
        allowed, hint = (error.allowed, error.hint) if isinstance(error, BadValueError) else (NEEDED, str(error))
        raise BadValueError("file of a call ledger", str(path), allowed, hint) from error
    return connection


def _serve(connection: sqlite3.Connection, waiting: Waiting, path: str) -> None:
    """Do what waits until the end mark comes."""
    more = True
    while more:
        item = waiting.get()
        group: list[tuple[Work, Future[Any]]] = []
        while item is not None:
            group.append(item)
            if len(group) == MAX_GROUP:
                break
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                break
        more = item is not None
        if group:
            _commit(connection, group, path)
    connection.close()


def _commit(connection: sqlite3.Connection, group: list[tuple[Work, Future[Any]]], path: str) -> None:
    """Do a group of work in one transaction: all of it is kept, or none and everybody is told."""
    group = [(work, future) for work, future in group if future.set_running_or_notify_cancel()]
    done: list[tuple[Future[Any], Any, Exception | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        done = [(future, *_one(connection, work)) for work, future in group]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        done = [(future, None, error) for _, future in group]
    for future, result, problem in done:
        if problem is None:
            future.set_result(result)
            continue
        raised = LedgerError(path, f"{type(problem).__name__}: {problem}", "Nothing of it was written.")
        raised.__cause__ = problem
        future.set_exception(raised)


def _one(connection: sqlite3.Connection, work: Work) -> tuple[Any, Exception | None]:
    """Do one piece; what is wrong with it alone, such as a value that is no JSON, must not spoil the others."""
    try:
        return work(connection), None
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - the thread must go on, and whoever waits must hear of it
        return None, error
