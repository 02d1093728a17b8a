"""Rows of a data set: from a file, or from Hugging Face; what is wrong in one is said with its line and field."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from langchain_r2.errors import BadValueError, MissingExtraError

T = TypeVar("T")

HUB: Final = "hf:"
"""What stands before a data set's id on Hugging Face: ``hf:owner/name``, ``hf:owner/name#configuration``."""


class Row(NamedTuple):
    """One row, or a table in it, that knows where it stands."""

    values: Mapping[str, Any]
    where: str
    """Such as ``line 3 of dev.jsonl``."""
    number: int
    """From 1."""
    within: str = ""
    """Path of the table in its row, with a final dot."""

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.values.get(key)
        if not (isinstance(value, str) and value.strip()):
            raise self.error(key, "a text that is not empty")
        return value

    def any_text(self, key: str) -> str:
        """A text, a number, or nothing, as a text."""
        value = self.values.get(key, "")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.error(key, "a text or a number")
        return str(value)

    def texts(self, key: str, *, optional: bool = False) -> tuple[str, ...]:
        """A list of texts; none where it may be missing."""
        value = self.values.get(key, [] if optional else None)
        if not (isinstance(value, list) and all(isinstance(part, str) for part in value)):
            raise self.error(key, "a list of texts")
        return tuple(value)

    def table(self, key: str) -> "Row":
        """A table."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "an object")
        return Row(value, self.where, self.number, f"{self.within}{key}.")

    def tables(self, key: str, *, optional: bool = False) -> "list[Row]":
        """A list of tables; none where it may be missing."""
        value = self.values.get(key, [] if optional else None)
        if not (isinstance(value, list) and all(isinstance(part, dict) for part in value)):
            raise self.error(key, "a list of objects")
        return [Row(part, self.where, self.number, f"{self.within}{key}[{i}].") for i, part in enumerate(value)]

    def error(self, key: str, allowed: str, hint: str = "") -> BadValueError:
        """What is wrong with a field."""
        if key not in self.values:
            names = ", ".join(map(str, list(self.values)[:12]))
            hint = f"{hint or 'The field is missing.'} There are: {names}."
        return BadValueError(f"field {self.within + key!r} in {self.where}", self.values.get(key), allowed, hint)


class Source(NamedTuple):
    """Which items to take from where."""

    split: str
    limit: int
    seed: int = 0
    data: str | None = None
    """Path of a file, or :data:`HUB` and an id; None for a benchmark that is generated."""
    first: bool = False
    """The first items in the order of the data, instead of a sample drawn with the seed."""

    def chosen(self, rows: Sequence[T]) -> list[T]:
        """The items to take, in the order of the data; all where there are no more than the limit."""
        if self.first or len(rows) <= self.limit:
            return list(rows[: self.limit])
        rng = random.Random(self.seed)  # noqa: S311 - a reproducible sample
        return [rows[place] for place in sorted(rng.sample(range(len(rows)), self.limit))]


def read_rows(source: Source, line: Callable[[str], Mapping[str, Any] | None] | None = None) -> list[Row]:
    """All rows of a data set.

    Args:
        source: Where they are: lines of JSON, a JSON list, or a data set on Hugging Face.
        line: Reads a line of text that is not JSON, for data that has such; None for a line that has no row.

    Raises:
        BadValueError: It cannot be read, a row is no object, or there is none.
        MissingExtraError: The data set is on Hugging Face, and ``datasets`` is not installed.
    """
    if source.data is None:
        raise BadValueError(
            "data", None, f"a path, or {HUB}owner/name", "This benchmark's data is not shipped: --data."
        )
    rows = _hub_rows(source.data, source.split) if source.data.startswith(HUB) else _file_rows(source.data, line)
    if not rows:
        raise BadValueError("data", source.data, "a file or data set with rows", "It has none.")
    return rows


def digest(data: str | None) -> str | None:
    """SHA-256 of a file of data; None where it is no file."""
    if data is None or data.startswith(HUB):
        return None
    return hashlib.sha256(Path(data).read_bytes()).hexdigest()


def check_ids(ids: Sequence[tuple[str, str]]) -> None:
    """Refuse ids that are there twice: records are found by them.

    Args:
        ids: Each with where it stands.

    Raises:
        BadValueError: One is.
    """
    seen: dict[str, str] = {}
    for id_, where in ids:
        if seen.setdefault(id_, where) != where:
            raise BadValueError(f"id in {where}", id_, "every id once", f"It is that of {seen[id_]} too.")


def _file_rows(data: str, line: Callable[[str], Mapping[str, Any] | None] | None) -> list[Row]:
    path = Path(data)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        hint = str(error)
        raise BadValueError("data", data, f"a UTF-8 file that can be read, or {HUB}owner/name", hint) from error
    if line is None and text.lstrip().startswith("["):
        return list(_list_rows(text, path.name))
    rows = []
    # Not splitlines(): a text inside JSON may have other line ends in it.
    for number, content in enumerate(text.split("\n"), 1):
        where = f"line {number} of {path.name}"
        if content.strip():
            values = line(content) if line and not content.lstrip().startswith("{") else _object(content, where)
            if values is None:
                raise BadValueError(where, content.strip(), "a row of this benchmark's data")
            rows.append(Row(values, where, number))
    return rows


def _list_rows(text: str, name: str) -> Iterator[Row]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadValueError("data", name, "a JSON list, or one JSON object a line", str(error)) from error
    for number, value in enumerate(values, 1):
        where = f"element {number} of {name}"
        if not isinstance(value, dict):
            raise BadValueError(where, value, "a JSON object")
        yield Row(value, where, number)


def _object(content: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadValueError(where, content.strip(), "a JSON object", str(error)) from error
    if not isinstance(value, dict):
        raise BadValueError(where, content.strip(), "a JSON object")
    return value


def _hub_rows(data: str, split: str) -> list[Row]:
    name, _, configuration = data.removeprefix(HUB).partition("#")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("reading a data set from Hugging Face", "evals") from error
    try:
        table = load_dataset(name, configuration or None, split=split)
    except Exception as error:
        hint = f"{type(error).__name__}: {str(error)[:300]}"
        raise BadValueError("data", data, f"a data set with a split {split!r}", hint) from error
    return [Row(dict(values), f"row {number} of {data}", number) for number, values in enumerate(table, 1)]
