"""Benchmarks on rows written in the test, and on samples of the real data where they lie beside the checkout."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.evals.benchmarks import Item, load_items
from langchain_r2.evals.grading import Grade, Grader, Tools, graded, open_grader

SAMPLES = Path(os.environ.get("LANGCHAIN_R2_SAMPLES", Path(__file__).parents[4] / "shared" / "data"))

Load = Callable[..., list[Item]]
Checked = Callable[..., Counter[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Items of a benchmark, from rows."""

    def items(name: str, *rows: Mapping[str, Any], **options: Any) -> list[Item]:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return load_items(name, data=str(path), **options).items

    return items


@pytest.fixture
def sample() -> Callable[..., list[Item]]:
    """Items of a benchmark, from a sample of the real data."""

    def items(name: str, file: str) -> list[Item]:
        path = SAMPLES / file
        if not path.is_file():
            pytest.skip(f"no sample {file} beside the checkout")
        return load_items(name, data=str(path), limit=100_000).items

    return items


def grade_all(grader: Grader | str, pairs: list[tuple[str, Item]], tools: Tools | None = None) -> list[Grade]:
    async def run(made: Grader) -> list[Grade]:
        return [await graded(made, prediction, item) for prediction, item in pairs]

    with open_grader(grader, tools) as made:
        return asyncio.run(run(made))


@pytest.fixture
def grades() -> Callable[..., list[Grade]]:
    """Grades of predictions."""
    return grade_all


@pytest.fixture
def self_check() -> Checked:
    """Grade gold answers and broken ones; gold ones have to be right where they can be graded, broken ones wrong."""

    def check(
        grader: Grader | str, items: list[Item], broken: Callable[[Item], list[str]], **tools: Any
    ) -> Counter[str]:
        made = Tools(**tools)
        golds = grade_all(grader, [(item.gold, item) for item in items], made)
        for item, grade in zip(items, golds, strict=True):
            assert grade.score in {1.0, None}, (item.id, item.gold, grade)
            assert (grade.score is None) == (grade.status == "ungradable")
        pairs = [(text, item) for item in items for text in ["", *broken(item)]]
        unfit = {item.id for item, grade in zip(items, golds, strict=True) if grade.score is None}
        for (text, item), grade in zip(pairs, grade_all(grader, pairs, made), strict=True):
            expected = None if item.id in unfit else 0.0
            assert grade.score == expected, (item.id, item.gold, text, grade)
        return Counter(grade.status for grade in golds)

    return check
