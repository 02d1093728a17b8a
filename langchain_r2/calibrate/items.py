"""The items that models are calibrated on: subtasks whose right answers are known."""

import hashlib
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.arithmetic import problems
from langchain_r2.records import kind_of

LEAST: Final = 10
"""Fewer items cannot say whether a signal tells right from wrong."""
MOST_PROBED: Final = 10_000

_FORM: Final = '{"text": "...", "answer": "..."}, with "kind" and "query" where wanted'


class Item(NamedTuple):
    """One subtask with its right answer."""

    text: str
    answer: str
    kind: str
    """What subtasks are calibrated together with it; the graph's ``kind_of`` has to give the same word."""
    query: str
    """The larger task that it is part of; the text itself where there is none."""


def read_items(path: Path) -> list[Item]:
    """Read a file of lines ``{"text": "...", "answer": "...", "kind": "...", "query": "..."}``, the last two optional.

    Raises:
        BadValueError: The file cannot be read, a line is no item, an item is there twice, or there are too few.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise BadValueError("file of items", str(path), "a UTF-8 file that can be read", str(error)) from error
    items: dict[tuple[str, str], Item] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            item = _item(line, number)
            if items.setdefault((item.text, item.query), item) is not item:
                hint = "An item that is there twice would be held out from itself. Remove one."
                raise BadValueError(f"text in line {number}", item.text, "every text once", hint)
    if len(items) < LEAST:
        raise BadValueError(f"items of {path}", len(items), f"at least {LEAST} lines {_FORM}")
    return list(items.values())


def probe_items(count: int, *, seed: int = 0) -> list[Item]:
    """Draw the built-in probe: single steps of worded arithmetic, apart from all that is trained or evaluated on.

    Raises:
        BadValueError: The count is out of range.
    """
    if not LEAST <= count <= MOST_PROBED:
        raise BadValueError("probe", count, f"a whole number from {LEAST} to {MOST_PROBED}")
    # The split for thresholds and settings: ``train`` is what the embedded models learned, others are evaluated on.
    steps = (step for problem in problems("validation", seed=seed, shard="probe") for step in problem.steps)
    seen: set[str] = set()
    fresh = (step for step in steps if not (step.resolved in seen or seen.add(step.resolved)))  # type: ignore[func-returns-value]
    return [
        Item(step.resolved, str(step.answer), kind_of(step.resolved), step.resolved) for step in islice(fresh, count)
    ]


def digest(items: Sequence[Item]) -> str:
    """SHA-256 of items."""
    return hashlib.sha256(json.dumps([list(item) for item in items]).encode()).hexdigest()


def _item(line: str, number: int) -> Item:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadValueError(f"line {number} of the items", line.strip(), f"a JSON object {_FORM}")
    if unknown := sorted(row.keys() - Item._fields):
        raise BadValueError(f"line {number} of the items", unknown, Item._fields, "Remove or rename these keys.")
    for key in Item._fields:
        value = row.get(key)
        if key in row or key in {"text", "answer"}:
            number_given = key == "answer" and isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number_given and not (isinstance(value, str) and value.strip()):
                raise BadValueError(f"{key} in line {number}", value, "a text that is not empty")
    text: str = row["text"]
    return Item(text, str(row["answer"]), str(row.get("kind", kind_of(text))), str(row.get("query", text)))
