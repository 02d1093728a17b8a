"""CommonsenseQA in both layouts."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.items import Item

TEXTS = ["ignore", "enforce", "a dog", "yell at", "avoid"]
OWN = {
    "answerKey": "B",
    "id": "a1",
    "question": {
        "question_concept": "punishing",
        "choices": [{"label": label, "text": text} for label, text in zip("ABCDE", TEXTS, strict=True)],
        "stem": "What did it do?",
    },
}
HUB = {
    "id": "a2",
    "question": "What did it do?",
    "question_concept": "x",
    "choices": {"label": list("ABCDE"), "text": TEXTS},
    "answerKey": "C",
}


def broken(item: Item) -> list[str]:
    others = [label for label in "ABCDE" if label != item.gold]
    texts = [item.meta["choices"][label] for label in others]
    return [*others, *(f"({label})" for label in others), *texts, f"{item.gold} or {others[0]}?", "none", "F"]


def test_both_layouts_are_the_same_question(load: Callable[..., list[Item]]) -> None:
    own, hub = load("commonsenseqa", OWN, HUB)
    assert own.query == hub.query
    assert own.query.startswith("What did it do?\n(A) ignore\n(B) enforce\n")
    assert (own.gold, hub.gold) == ("B", "C")
    assert own.meta == hub.meta == {"choices": dict(zip("ABCDE", TEXTS, strict=True))}


def test_self_check(load: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    assert self_check("choice", load("commonsenseqa", OWN, HUB), broken) == {"graded": 2}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answerKey": ""}, "'answerKey' in line 1.*validation split"),
        ({"answerKey": "F"}, "'answerKey' in line 1.*A, B, C, D, E"),
        ({"choices": {"label": ["A"], "text": ["x", "y"]}}, "'choices.text' in line 1"),
        ({"choices": ["x"]}, "'choices' in line 1"),
    ],
)
def test_rows_that_cannot_be_graded_are_refused(
    changed: dict[str, Any], said: str, load: Callable[..., list[Item]]
) -> None:
    with pytest.raises(BadValueError, match=said):
        load("commonsenseqa", {**HUB, **changed})


@pytest.mark.parametrize("file", ["commonsenseqa_dev.jsonl", "commonsenseqa_train_first200.jsonl"])
def test_the_samples(file: str, sample: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    items = sample("commonsenseqa", file)
    assert self_check("choice", items, broken) == {"graded": len(items)}
