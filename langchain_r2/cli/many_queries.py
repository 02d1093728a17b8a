"""Runs the queries of a file, a record for each as soon as it ends; what has a record is not run again.

Of each query an id and a hash are kept in memory, of each record its cost. A record is on the disk before its worker
takes the next query, so a kill, at any moment, loses the runs of at most ``concurrency`` queries: those under way. They
are run again on resume, and what they had paid is paid again unless a call ledger has it. A query that has a record
never is.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from langchain_core.runnables import RunnableConfig

from langchain_r2.call_ledger import CallLedger
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.nodes.admission import run_output
from langchain_r2.run_record import append_records, failed_record, iter_records, run_record
from langchain_r2.types import RunRecord


class Query(NamedTuple):
    """One line of the input."""

    id: str
    text: str


class Graph(Protocol):
    """What a batch needs of a router graph."""

    async def ainvoke(
        self,
        input: Any,  # noqa: A002, ANN401 - LangGraph's
        config: RunnableConfig | None = None,
        *,
        context: R2Context,
    ) -> Mapping[str, Any]:
        """Run one query."""
        ...


class Threads(NamedTuple):
    """The threads that a batch's queries have in a call ledger."""

    ledger: CallLedger
    prefix: str

    def of(self, query: Query) -> str:
        """The thread of a query."""
        return self.prefix + query.id


def batch_threads(ledger: CallLedger, target: Path, *, resume: bool) -> Threads:
    """Name the threads of a batch after its output; without ``resume``, what an earlier one left there is not used."""
    threads = Threads(ledger, f"batch:{target.resolve()}:")
    if not resume:
        ledger.detach(threads.prefix).result()
    return threads


def read_queries(path: Path) -> Iterator[Query]:
    """Read a file of lines ``{"query": "...", "id": "..."}``; without an id, a line's number is its id.

    Raises:
        BadValueError: The file cannot be read, or a line is no query.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _query(line, number)
    except (OSError, UnicodeError) as error:
        raise BadValueError("file of queries", str(path), "a UTF-8 file that can be read", str(error)) from error


def index_queries(path: Path) -> dict[str, bytes]:
    """Check a whole file of queries before anything is paid; gives the hash of every query by its id.

    Raises:
        BadValueError: The file cannot be read twice, a line is no query, two have the same id, or there is none.
    """
    if path.exists() and not path.is_file():
        raise BadValueError(
            "file of queries", str(path), "a regular file: it is read twice", "Write it to a file first."
        )
    hashes: dict[str, bytes] = {}
    for query in read_queries(path):
        if query.id in hashes:
            raise BadValueError(
                "id of a query", query.id, "every id once", "A line without an id has its number as id."
            )
        hashes[query.id] = _hash(query.text)
    if not hashes:
        raise BadValueError("file of queries", str(path), 'lines {"query": "..."}', "It has none.")
    return hashes


def take_done(source: Path, target: Path, waiting: dict[str, bytes], *, resume: bool) -> Iterator[RunRecord]:
    """The records that the output already has for these queries; each is taken out of ``waiting`` as it is given.

    Raises:
        BadValueError: The output is the input, has something in it without ``resume``, or answers other queries.
    """
    if not target.exists():
        return
    if target.is_dir() or target.samefile(source):
        raise BadValueError("output file", str(target), "a file other than the input")
    if not resume:
        if target.stat().st_size:
            hint = "Give --resume to go on with it, or another file."
            raise BadValueError("output file", str(target), "a new or empty file", hint)
        return
    for record in iter_records(target):
        known = waiting.pop(record["id"], None)
        if known is None:
            continue
        if known != _hash(record["query"]):
            hint = "The input has changed since: give another output file."
            raise BadValueError(f"query of record {record['id']!r}", record["query"], "that of the input", hint)
        yield record


async def run_batch(
    graph: Graph,
    queries: Iterable[Query],
    file: BinaryIO,
    *,
    concurrency: int,
    limits: R2Context,
    on_record: Callable[[RunRecord], None],
    threads: Threads | None = None,
    for_training: bool = False,
) -> None:
    """Run queries, some at a time; a query that fails is a record too.

    Args:
        graph: A router graph.
        queries: What to ask.
        file: Where records are appended, roughly in the order in which runs end.
        concurrency: Most queries under way at once.
        limits: Of each query.
        on_record: Called after a record was written.
        threads: Where the graph's call ledger has the queries; None: it has none.
        for_training: Whether routers may learn from the records.
    """
    waiting, written = iter(queries), _Appender(file)

    async def work() -> None:
        for query in waiting:
            record = await _run(graph, query, limits, threads, for_training=for_training)
            await written.append(record)
            on_record(record)

    try:
        await asyncio.gather(*(work() for _ in range(concurrency)))
    finally:
        written.finish()


class _Appender:
    """Appends records from an event loop without holding it up: those that end meanwhile share a wait for the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ended: list[RunRecord] = []
        self._turn = asyncio.Lock()

    async def append(self, record: RunRecord) -> None:
        """Return when the record is on the disk."""
        self._ended.append(record)
        async with self._turn:  # whoever had it before may have written this one too
            if rows := self._take():
                await asyncio.to_thread(append_records, self._file, rows)

    def finish(self) -> None:
        """Write what an interruption left: it was paid for."""
        if rows := self._take():
            append_records(self._file, rows)

    def _take(self) -> list[RunRecord]:
        rows, self._ended = self._ended, []
        return rows


async def _run(
    graph: Graph, query: Query, limits: R2Context, threads: Threads | None, *, for_training: bool
) -> RunRecord:
    started = time.perf_counter()
    try:
        state = await _asked(graph, query, limits, threads)
    except Exception as error:  # noqa: BLE001 - one query's failure must not end the batch
        return failed_record(query.text, error, id=query.id, wall_s=time.perf_counter() - started)
    wall_s = time.perf_counter() - started
    return run_record(state, id=query.id, wall_s=wall_s, for_training=for_training)


async def _asked(graph: Graph, query: Query, limits: R2Context, threads: Threads | None) -> Mapping[str, Any]:
    """Run a query; what the ledger has of it is not paid again."""
    if threads is None:
        return await graph.ainvoke({"query": query.text}, context=limits)
    thread = threads.of(query)
    known = await asyncio.wrap_future(threads.ledger.newest(thread))
    if known is not None and known.result is not None and known.input["query"] == query.text:
        return run_output(known.result)  # killed between its end and its record
    # An open run of the same query is gone on with.
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    return await graph.ainvoke({"query": query.text}, config, context=limits)


def _hash(text: str) -> bytes:
    """What tells that a query is the same; texts of 10,000 queries are not kept."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _query(line: str, number: int) -> Query:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadValueError(f"line {number} of the input", line.strip(), 'a JSON object {"query": "..."}')
    text, id_ = row.get("query"), row.get("id", number)
    if not isinstance(text, str) or not text.strip():
        raise BadValueError(f"query in line {number}", text, "a text that is not empty")
    if isinstance(id_, bool) or not isinstance(id_, (str, int)) or id_ == "":
        raise BadValueError(f"id in line {number}", id_, "a text that is not empty, or a whole number")
    return Query(str(id_), text)
