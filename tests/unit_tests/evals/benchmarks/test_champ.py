"""CHAMP: only what is a number, yes or no has a rule; formulas and words are ungradable."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.evals.benchmarks.champ import grade
from langchain_r2.evals.grading import Grade
from langchain_r2.evals.items import Item


def row(answer: str, number: int = 1) -> dict[str, Any]:
    return {
        "identifier": f"P_{number}",
        "category": "Number-Theory",
        "_text": "Find it.",
        "_answer": answer,
        "fws_annotations": [{"text": "a model wrote 7"}],
    }


def broken(item: Item) -> list[str]:
    return ["No" if item.gold == "Yes" else "Yes", "123456", "Yes and no", "unclear"]


def test_self_check(load: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    answers = ["7744", "-1/2", "Yes", "No", "2^(n-1)", "0 is the only possible value"]
    items = load("champ", *(row(answer, number) for number, answer in enumerate(answers)))
    assert self_check(grade, items, broken) == {"graded": 4, "ungradable": 2}


@pytest.mark.parametrize(
    ("gold", "prediction"),
    [
        ("sum_(i=1)^n i^2, or equivalently n(n+1)(2n+1)/6", "1"),  # as LaTeX it equals 1
        ("C(10, 5), or equivalently 252", "252"),  # as LaTeX it does not
        ("100 (i.e., all values)", "100"),
        ("No integer solutions", "no"),
        ("x=2, y=1", "x=2, y=1"),
    ],
)
def test_what_no_rule_can_compare_is_ungradable_whatever_is_said(gold: str, prediction: str) -> None:
    for said in (prediction, gold, ""):
        assert grade(said, Item("a", "q", gold))[:2] == ("ungradable", None)


@pytest.mark.parametrize(
    ("gold", "prediction", "score"),
    [
        ("No", "No, it is not.", 1),
        ("No", "Not known", 0),
        ("Yes", "Yes.", 1),
        ("-1/2", "-0.5", 1),
        ("89", "It is 89", 1),
    ],
)
def test_numbers_and_yes_or_no(gold: str, prediction: str, score: int) -> None:
    said = grade(prediction, Item("a", "q", gold))
    assert isinstance(said, Grade)
    assert said.score == score


def test_model_written_solutions_are_not_read(load: Callable[..., list[Item]]) -> None:
    [item] = load("champ", row("7744"))
    assert "a model wrote" not in repr(item)


def test_the_sample(sample: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    counted = self_check(grade, sample("champ", "champ.jsonl"), broken)
    assert counted == {"graded": 118, "ungradable": 152}
