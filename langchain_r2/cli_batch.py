"""Runs the queries of a file, a record for each as soon as it ends; what has a record is not run again."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.run_record import append_record, failed_record, read_records, run_record
from langchain_r2.types import RunRecord


class Query(NamedTuple):
    """One line of the input."""

    id: str
    text: str


class Graph(Protocol):
    """What a batch needs of a router graph."""

    async def ainvoke(self, input: Any, *, context: R2Context) -> Mapping[str, Any]:  # noqa: A002, ANN401 - LangGraph's
        """Run one query."""
        ...


def read_queries(path: Path) -> list[Query]:
    """Read a file of lines ``{"query": "...", "id": "..."}``; without an id, a line's number is its id.

    Raises:
        BadValueError: The file cannot be read, a line is no query, or two have the same id.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise BadValueError("file of queries", str(path), "a UTF-8 file that can be read", str(error)) from error
    queries: dict[str, Query] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            query = _query(line, number)
            if query.id in queries:
                hint = "A line without an id has its number as id."
                raise BadValueError(f"id in line {number}", query.id, "every id once", hint)
            queries[query.id] = query
    if not queries:
        raise BadValueError("file of queries", str(path), 'lines {"query": "..."}', "It has none.")
    return list(queries.values())


def read_done(source: Path, target: Path, queries: Iterable[Query], *, resume: bool) -> dict[str, RunRecord]:
    """The records that the output already has for these queries, by id.

    Raises:
        BadValueError: The output is the input, has something in it without ``resume``, or answers other queries.
    """
    if not target.exists():
        return {}
    if target.is_dir() or target.samefile(source):
        raise BadValueError("output file", str(target), "a file other than the input")
    if not resume:
        if target.stat().st_size:
            hint = "Give --resume to go on with it, or another file."
            raise BadValueError("output file", str(target), "a new or empty file", hint)
        return {}
    texts = {query.id: query.text for query in queries}
    done = {record["id"]: record for record in read_records(target) if record["id"] in texts}
    for id_, record in done.items():
        if record["query"] != texts[id_]:
            hint = "The input has changed since: give another output file."
            raise BadValueError(f"query of record {id_!r}", record["query"], f"{texts[id_]!r:.200}", hint)
    return done


async def run_batch(
    graph: Graph,
    queries: Iterable[Query],
    file: BinaryIO,
    *,
    concurrency: int,
    limits: R2Context,
    on_record: Callable[[RunRecord], None],
) -> None:
    """Run queries, some at a time; a query that fails is a record too.

    Args:
        graph: A router graph.
        queries: What to ask.
        file: Where records are appended, in the order in which runs end.
        concurrency: Most queries under way at once.
        limits: Of each query.
        on_record: Called after a record was written.
    """
    waiting = iter(queries)

    async def work(mine: Iterator[Query]) -> None:
        for query in mine:
            record = await _run(graph, query, limits)
            append_record(file, record)
            on_record(record)

    await asyncio.gather(*(work(waiting) for _ in range(concurrency)))


async def _run(graph: Graph, query: Query, limits: R2Context) -> RunRecord:
    started = time.perf_counter()
    try:
        state = await graph.ainvoke({"query": query.text}, context=limits)
    except Exception as error:  # noqa: BLE001 - one query's failure must not end the batch
        return failed_record(query.text, error, id=query.id, wall_s=time.perf_counter() - started)
    return run_record(state, id=query.id, wall_s=time.perf_counter() - started)


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
