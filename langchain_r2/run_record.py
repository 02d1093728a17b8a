"""A run as one JSON line: made from a graph's output, written so that a crash tears the last line at most."""

import errno
import json
import math
import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, NotRequired, cast

from typing_extensions import TypedDict

from langchain_r2.errors import BadValueError
from langchain_r2.ledger import bill
from langchain_r2.scrubbing import scrubbed
from langchain_r2.types import Allocation, ApprovalState, RunRecord, SubtaskResult

_NO_FSYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})
"""What a pipe or a terminal answers: there is no disk to wait for."""


def run_record(state: Mapping[str, Any], *, id: str, wall_s: float, for_training: bool = False) -> RunRecord:  # noqa: A002 - the record's own word
    """The record of a run that ended.

    Args:
        state: What the router graph returned.
        id: The caller's name for the run.
        wall_s: How long it took.
        for_training: Whether routers may learn from it and be tested on it.
    """
    total = bill(state["attempts"])
    agreed = Agreed(for_training=True) if for_training else Agreed()
    return RunRecord(
        id=id,
        query=state["query"],
        answer=state["answer"],
        status=state["status"],
        error=state["error"],
        plan=state["plan"]["subtasks"],
        attempts=state["attempts"],
        cost_usd=total.cost_usd,
        cost_by_role=total.by_role,
        cost_by_model=total.by_model,
        wall_s=wall_s,
        **traced(state, wall_s),
        **agreed,
    )


class Agreed(TypedDict):
    """What may be done with a record."""

    for_training: NotRequired[bool]


class Traced(TypedDict):
    """What a record tells beside the result: when, why, and how each part ended."""

    started_at: float
    plan_confidence: float | None
    plan_rejected: list[str]
    allocation: Allocation
    results: list[SubtaskResult]
    approval: NotRequired[ApprovalState]
    rerun_of: NotRequired[str]


def traced(state: Mapping[str, Any], wall_s: float) -> Traced:
    """These fields for a run that ended just now."""
    fields = Traced(
        started_at=time.time() - wall_s,
        plan_confidence=state["plan"]["confidence"],
        plan_rejected=state["plan"]["rejected"],
        allocation=state["allocation"],
        results=[without_attempts(result) for result in state["results"]],
    )
    if state.get("approval") not in (None, "not_asked"):
        fields["approval"] = state["approval"]
    if state.get("rerun_of") is not None:
        fields["rerun_of"] = state["rerun_of"]
    return fields


def failed_record(query: str, error: Exception, *, id: str, wall_s: float) -> RunRecord:  # noqa: A002 - as above
    """The record of a run that raised. What it did before is lost with it, so its cost is unknown, not 0."""
    return RunRecord(
        id=id,
        query=query,
        answer=None,
        status="error",
        error=scrubbed(f"{type(error).__name__}: {error}"),
        plan=[],
        attempts=[],
        cost_usd=None,
        cost_by_role={},
        cost_by_model={},
        wall_s=wall_s,
        started_at=time.time() - wall_s,
    )


def without_attempts(result: SubtaskResult) -> SubtaskResult:
    """How a subtask ended, for where its attempts are kept beside it."""
    bare = result.copy()
    bare["attempts"] = []
    return bare


def answered(record: RunRecord) -> bool:
    """Whether a run gave an answer, accepted or best effort."""
    return record["answer"] is not None and record["status"] != "error"


def to_json(record: RunRecord) -> str:
    """A record as one line. ASCII: what a model wrote may be text that no encoding takes."""
    try:
        return json.dumps(record, allow_nan=False)
    except ValueError:  # a record that was paid for is not lost for a number that JSON lacks
        return json.dumps(_finite(record), allow_nan=False)


def open_records(path: Path) -> BinaryIO:
    """Open a file of records to append to it, without its torn last line.

    Raises:
        BadValueError: It cannot be opened, or what it holds is something else.
    """
    try:
        if path.exists() and stat.S_ISREG(path.stat().st_mode):
            _mend(path)
        return path.open("ab")
    except (OSError, ValueError) as error:
        if isinstance(error, BadValueError):
            raise
        raise BadValueError("file for run records", str(path), "a file that can be written", str(error)) from error


def append_record(file: BinaryIO, record: RunRecord) -> None:
    """Write a record as one line and wait until it is on the disk."""
    append_records(file, [record])


def append_records(file: BinaryIO, records: Iterable[RunRecord]) -> None:
    """Write records, a line each, and wait once until they are on the disk."""
    file.write(b"".join(to_json(record).encode() + b"\n" for record in records))
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def read_records(path: Path) -> list[RunRecord]:
    """All records of a file; see :func:`iter_records`."""
    return list(iter_records(path))


def iter_records(path: Path) -> Iterator[RunRecord]:
    """Read a file of records one by one; a last line that a crash tore is left out.

    Raises:
        BadValueError: The file cannot be read, or another line is no record.
    """
    try:
        for line in _lines(path):
            if line.record is not None:
                yield line.record
    except OSError as error:
        raise BadValueError("file of run records", str(path), "a file that can be read", str(error)) from error


class _Line(NamedTuple):
    """A line that is not torn."""

    record: RunRecord | None
    """None for a blank line."""
    end: int
    """Where it ends in the file, in bytes."""
    ended: bool
    """Whether it has its line break."""


def _lines(path: Path) -> Iterator[_Line]:
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            whole, record = line.endswith(b"\n"), None
            if line.strip():
                try:
                    record = _record(line, f"line {number} of {path}")
                except BadValueError:
                    # Records start so. Anything else was not written by us, and must not be cut off as if it were torn.
                    if whole or not (line.startswith(b'{"id"') or b'{"id"'.startswith(line)):
                        raise
                    return
            end += len(line)
            yield _Line(record, end, whole)


def _record(line: bytes, name: str) -> RunRecord:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    lacks = sorted(RunRecord.__required_keys__ - value.keys()) if isinstance(value, dict) else []
    if not isinstance(value, dict) or lacks:
        problem = f"it lacks {', '.join(lacks)}" if lacks else "it is not a JSON object"
        shown = line[:80].decode(errors="replace").strip()
        raise BadValueError(name, shown, "a run record", f"But {problem}: is this the right file?")
    return cast("RunRecord", value)


def _mend(path: Path) -> None:
    """Cut a torn last line off, and end the last record with a line break."""
    last = next(iter(deque(_lines(path), maxlen=1)), _Line(None, 0, ended=True))
    if last.end < path.stat().st_size:
        os.truncate(path, last.end)
    if not last.ended:
        with path.open("ab") as file:
            file.write(b"\n")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
