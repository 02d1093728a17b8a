"""MuSiQue: the authors' metric, and gold decompositions."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.musique import grade
from langchain_r2.evals.grading import Grade
from langchain_r2.evals.items import GoldStep, Item

ROW: dict[str, Any] = {
    "id": "2hop__1",
    "paragraphs": [
        {"idx": 0, "title": "Van Hook", "paragraph_text": "A township in Mountrail County.", "is_supporting": True},
        {"idx": 1, "title": "Mountrail", "paragraph_text": "Its seat is Stanley.", "is_supporting": True},
    ],
    "question": "What is the seat of the county where Van Hook Township is?",
    "question_decomposition": [
        {"id": 5, "question": "Van Hook Township >> county", "answer": "Mountrail County", "paragraph_support_idx": 0},
        {"id": 6, "question": "#1 >> capital", "answer": "Stanley", "paragraph_support_idx": 1},
    ],
    "answer": "Stanley",
    "answer_aliases": ["Stanley, North Dakota"],
    "answerable": True,
}


def broken(item: Item) -> list[str]:
    return [f"{item.gold} perhaps", "unknown", "the"]


def test_self_check(load: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    assert self_check(grade, load("musique", ROW), broken) == {"graded": 1}


def test_paragraphs_are_shown_and_what_supports_is_not_said(load: Callable[..., list[Item]]) -> None:
    [item] = load("musique", ROW)
    assert item.query.startswith("Van Hook: A township in Mountrail County.\n\nMountrail: ")
    assert "supporting" not in item.query
    [bare] = load("musique", {k: v for k, v in ROW.items() if k != "paragraphs"})
    assert bare.query == ROW["question"]


def test_the_decomposition_refers_to_earlier_answers(load: Callable[..., list[Item]]) -> None:
    [item] = load("musique", ROW)
    assert item.steps == (
        GoldStep("Van Hook Township >> county", (), "Mountrail County"),
        GoldStep("#1 >> capital", ("1",), "Stanley"),
    )


@pytest.mark.parametrize(
    ("prediction", "match", "f1"),
    [
        ("stanley!", 1, 1.0),
        ("The Stanley, North Dakota", 1, 1.0),  # an alias; articles, case and signs do not count
        ("Stanley city", 0, 2 / 3),
        ("Fargo", 0, 0.0),
        ("", 0, 0.0),
        ("North Dakota", 0, 0.8),
    ],
)
def test_exact_match_and_f1_are_the_best_over_answer_and_aliases(prediction: str, match: int, f1: float) -> None:
    said = grade(prediction, Item("a", "q", "Stanley", ("Stanley, North Dakota",)))
    assert said.score == match
    assert said.measures["f1"] == pytest.approx(f1)


def test_a_repeated_word_counts_once() -> None:
    said = grade("Stanley Stanley Stanley", Item("a", "q", "Stanley"))
    assert isinstance(said, Grade)
    assert said.measures["f1"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answerable": False}, "'answerable' in line 1.*MuSiQue-Ans"),
        ({"answer_aliases": "x"}, "'answer_aliases' in line 1"),
        (
            {"question_decomposition": [{"question": "#1 >> x", "answer": "y"}]},
            r"'question_decomposition\[0\].question'",
        ),
        ({"paragraphs": [{"title": "x"}]}, r"'paragraphs\[0\].paragraph_text'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(changed: dict[str, Any], said: str, load: Callable[..., list[Item]]) -> None:
    with pytest.raises(BadValueError, match=said):
        load("musique", {**ROW, **changed})


def test_the_sample(sample: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    items = sample("musique", "musique_dev.jsonl")
    assert self_check(grade, items, broken) == {"graded": 200}
    assert all(len(item.steps) > 1 and item.steps[-1].answer == item.gold for item in items)
