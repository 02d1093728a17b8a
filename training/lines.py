"""Files of JSON lines that a stage adds to: killed and started again, it goes on after the last whole line."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from langchain_r2.errors import BadValueError


class Lines:
    """A file with a line per problem, each with where it comes from."""

    def __init__(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Open a file, or make it.

        Args:
            path: The file.
            provenance: What its lines follow from: pool, models, seeds, prompts, data.

        Raises:
            BadValueError: Its lines follow from something else.
        """
        self.path, self.provenance = path, dict(provenance)
        self.done: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if path.exists():
            for end, row in _whole_lines(path):
                whole = end
                if row["provenance"] != self.provenance:
                    raise _other(path, self.provenance, row["provenance"])
                self.done.add(row["id"])
            os.truncate(path, whole)  # a line that a kill tore
        self._file: BinaryIO = path.open("ab")

    def add(self, id_: str, row: Mapping[str, Any]) -> None:
        """Write a problem's line."""
        line = {"id": id_, **row, "provenance": self.provenance}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._file.flush()
        self.done.add(id_)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


def _whole_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                row = json.loads(line)
                _ = row["id"], row["provenance"]
            except (ValueError, TypeError, KeyError) as error:
                raise BadValueError(f"line {number} of {path}", line[:80], "a line of this stage") from error
            yield end, row


def _other(path: Path, ours: Mapping[str, Any], theirs: Any) -> BadValueError:  # noqa: ANN401 - read from a file
    known = theirs if isinstance(theirs, dict) else {}
    differ = [name for name in {**ours, **known} if ours.get(name) != known.get(name)]
    hint = f"It was made with another {', '.join(differ)}. Take another --out, or delete it."
    return BadValueError("file to go on with", str(path), "one made with the same settings", hint)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of such a file.

    Raises:
        BadValueError: It cannot be read, has no line, or a line is something else.
    """
    try:
        rows = [row for _, row in _whole_lines(path)]
    except OSError as error:
        raise BadValueError("file", str(path), "one that a stage before has written", str(error)) from error
    if not rows:
        raise BadValueError("file", str(path), "one with lines", "The stage before wrote none.")
    return rows


def short_hash(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Of any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
