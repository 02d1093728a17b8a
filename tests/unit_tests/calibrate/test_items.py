"""Labelled items: read from a file or drawn as a probe."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.calibrate.items import Item, digest, probe_items, read_items
from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.arithmetic import compute


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def rows(count: int = 10) -> list[Any]:
    return [{"text": f"{i} plus 10", "answer": i + 10} for i in range(count)]


def test_kind_and_query_may_be_left_out(tmp_path: Path) -> None:
    more = {"text": "Who?", "answer": "Ann", "kind": "names", "query": "the task"}
    items = read_items(write(tmp_path / "i", [*rows(), "", more]))
    assert items[3] == Item("3 plus 10", "13", "0 plus 00", "3 plus 10")
    assert items[-1] == Item("Who?", "Ann", "names", "the task")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("no json", "line 11 of the items"), ([1], "line 11"), ({"text": "a"}, "answer in line 11 is None"),
        ({"text": " ", "answer": "b"}, "text in line 11"), ({"text": "a", "answer": True}, "answer in line 11"),
        ({"text": "a", "answer": "b", "gold": "c"}, r"\['gold'\]; allowed: text, answer, kind, query"),
        ({"text": "a", "answer": "b", "kind": None}, "kind in line 11"),
        ({"text": "3 plus 10", "answer": "13"}, "text in line 11 is '3 plus 10'; allowed: every text once"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, row: Any, says: str) -> None:
    with pytest.raises(BadValueError, match=says):
        read_items(write(tmp_path / "i", [*rows(), row]))


def test_files_that_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="can be read"):
        read_items(tmp_path / "none")
    with pytest.raises(BadValueError, match="is 9; allowed: at least 10"):
        read_items(write(tmp_path / "few", rows(9)))


def test_the_probe_is_right_and_the_same_for_its_seed() -> None:
    items = probe_items(60)
    assert len({item.text for item in items}) == 60
    for item in items:
        a, *operation, b = item.text.split()
        assert compute(int(a), " ".join(operation), int(b)) == int(item.answer)
    assert digest(items) == digest(probe_items(60))
    assert digest(items) != digest(probe_items(60, seed=1))
    assert len({item.kind for item in items}) > 5


@pytest.mark.parametrize("count", [0, 9, 10_001])
def test_a_probe_has_bounds(count: int) -> None:
    with pytest.raises(BadValueError, match="probe"):
        probe_items(count)
