"""Problems to train on: read, checked, hashed."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.items import Item
from training.items import TrainItem, check_apart, grader_named, load_train_items, split_hash


def _file(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_generated_problems_are_the_same_again_and_apart_from_other_splits() -> None:
    items = load_train_items("arithmetic", "train", 50, seed=3)
    assert items == load_train_items("arithmetic", "train", 50, seed=3)
    assert items != load_train_items("arithmetic", "train", 50, seed=4)
    check_apart(items, load_train_items("arithmetic", "test", 50, seed=3))
    grade = grader_named("arithmetic")
    assert callable(grade)
    assert grade(f" {items[0].answer}.", items[0].as_item())
    assert not grade("x", items[0].as_item())


def test_lines_of_a_split_are_read(tmp_path: Path) -> None:
    source = _file(
        tmp_path,
        {"id": "a", "query": "1 + 1 ?", "answer": 2, "split": "train"},
        {"id": "b", "query": "1 + 2 ?", "answer": "3", "split": "test"},
        {"id": "c", "query": "1 + 3 ?", "answer": "4", "aliases": ["four"]},
    )
    items = load_train_items(source, "train", 9)
    assert [item.id for item in items] == ["a", "c"]
    assert items[1].as_item() == Item("c", "1 + 3 ?", "4", ("four",))
    assert [item.id for item in load_train_items(source, "test", 9)] == ["b", "c"]


@pytest.mark.parametrize("answer", [None, "", "  ", True])
def test_a_missing_gold_answer_is_told_with_its_line(tmp_path: Path, answer: object) -> None:
    source = _file(tmp_path, {"id": "a", "query": "q", "answer": "1"}, {"id": "b", "query": "q2", "answer": answer})
    with pytest.raises(BadValueError, match=r"'answer' in line 2 of own.jsonl.*gold answer"):
        load_train_items(source, "train", 9)


def test_ids_are_there_once_and_splits_are_not_empty(tmp_path: Path) -> None:
    row = {"id": "a", "query": "q", "answer": "1", "split": "train"}
    with pytest.raises(BadValueError, match="every id once"):
        load_train_items(_file(tmp_path, row, row), "train", 9)
    with pytest.raises(BadValueError, match="split is 'dev'"):
        load_train_items(_file(tmp_path, row), "dev", 9)
    with pytest.raises(BadValueError, match="limit is 0"):
        load_train_items("arithmetic", "train", 0)
    with pytest.raises(BadValueError, match="split is 'dev'"):
        load_train_items("arithmetic", "dev", 1)


@pytest.mark.parametrize("other", [TrainItem("x", "How  Many ?", "2", "test"), TrainItem("a", "else", "2", "test")])
def test_splits_that_overlap_are_refused(other: TrainItem) -> None:
    ours = [TrainItem("a", "how many ?", "1", "train"), TrainItem("b", "why ?", "1", "train")]
    with pytest.raises(BadValueError, match=r"split 'train' is '1 of 2 items'.*'test' has.*first is 'a'"):
        check_apart(ours, [other])


def test_a_split_s_hash_does_not_follow_the_order() -> None:
    one, two = load_train_items("arithmetic", "train", 2)
    assert split_hash([one, two]) == split_hash([two, one])
    assert split_hash([one, two]) != split_hash([one, two._replace(answer="0")])


def test_an_unknown_grader_is_refused() -> None:
    assert grader_named("numeric") == "numeric"
    with pytest.raises(BadValueError, match="arithmetic, exact"):
        grader_named("feeling")
