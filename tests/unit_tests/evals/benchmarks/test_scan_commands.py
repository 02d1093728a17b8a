"""SCAN's commands alone: splits that are apart, gold answers, and the published data."""

import json
from pathlib import Path

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import load_items
from langchain_r2.evals.benchmarks.scan import commands, grade
from langchain_r2.evals.benchmarks.scan_commands import LONGEST, commands_of

DATA = Path(__file__).parents[5] / "shared" / "data"
SIZES = {"train": 11_019, "validation": 2_516, "iid": 3_455, "length": 3_920}


def test_every_command_is_in_one_split() -> None:
    texts = {split: [c.text for c in commands_of(split)] for split in SIZES}  # type: ignore[arg-type]
    assert {split: len(own) for split, own in texts.items()} == SIZES
    assert sorted(text for own in texts.values() for text in own) == sorted(c.text for c in commands())


def test_held_out_commands_have_two_parts_and_only_length_has_long_ones() -> None:
    for split in ("validation", "iid"):
        assert all(" and " in c.text or " after " in c.text for c in commands_of(split))
    for split in ("train", "validation", "iid"):
        assert max(len(c.actions) for c in commands_of(split)) == LONGEST  # type: ignore[arg-type]
    assert min(len(c.actions) for c in commands_of("length")) > LONGEST


@pytest.mark.parametrize("split", ["iid", "length", "validation"])
def test_a_query_is_the_command_and_its_gold_answer_is_right(split: str) -> None:
    items = load_items("scan-commands", split=split, limit=50).items
    assert len(items) == 50
    for item in items:
        assert item.query == item.meta["command"]
        assert grade(item.gold, item).score == 1
        assert grade(item.gold + " I_RUN", item).score == 0


def test_what_models_were_trained_on_is_no_test() -> None:
    with pytest.raises(BadValueError, match="iid, length, validation"):
        load_items("scan-commands", split="train")


@pytest.mark.skipif(not DATA.is_dir(), reason="no published data at hand")
@pytest.mark.parametrize("name", ["scan.jsonl", "scan_tasks_first200.jsonl"])
def test_the_published_pairs_are_generated(name: str) -> None:
    known = {c.text: " ".join(c.actions) for c in commands()}
    rows = [json.loads(line) for line in (DATA / name).read_text().splitlines()]
    assert len(rows) >= 200
    assert all(known[row["IN"]] == row["OUT"] for row in rows)
