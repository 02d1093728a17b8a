"""MATH and MATH-500: the last box of the solution, or the answer field."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.items import Item

OWN = {
    "problem": "How many vertical asymptotes?",
    "level": "Level 3",
    "type": "Algebra",
    "solution": r"First \boxed{7}, no: \boxed{\frac{1}{2}}.",
    "idx": 4,
}
MATH_500 = {
    "problem": "Who runs?",
    "solution": r"So \boxed{\text{Evelyn}}.",
    "answer": r"\text{Evelyn}",
    "subject": "Algebra",
    "level": 2,
}


def test_both_layouts(load: Callable[..., list[Item]]) -> None:
    own, short = load("math", OWN, MATH_500)
    assert (own.id, own.gold, own.meta) == ("math-4", r"\frac{1}{2}", {"subject": "Algebra", "level": "3"})
    assert (short.id, short.gold, short.meta["level"]) == ("math-2", r"\text{Evelyn}", "2")
    assert [row.id for row in load("math", {**MATH_500, "unique_id": "test/algebra/1.json"})] == [
        "math-test/algebra/1.json"
    ]


def test_the_prompt_asks_for_a_box_and_hides_the_solution(load: Callable[..., list[Item]]) -> None:
    [item] = load("math", OWN)
    assert r"\boxed{}" in item.query
    assert "no:" not in item.query


def test_self_check(load: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    pytest.importorskip("math_verify")

    def broken(item: Item) -> list[str]:
        return [r"\boxed{13}", r"\boxed{\text{Bob}}", f"{item.gold} \\boxed{{17}}", "no idea"]

    assert self_check("math", load("math", OWN, MATH_500), broken) == {"graded": 2}


def test_a_solution_without_a_box_is_refused(load: Callable[..., list[Item]]) -> None:
    with pytest.raises(BadValueError, match=r"field 'solution' in line 1 .*boxed"):
        load("math", {**OWN, "solution": "It is 2."})
