"""Texts, numbers and letters: what is the same answer, and what only looks like it."""

from fractions import Fraction

import pytest

from langchain_r2.evals.grading.text import choice, chosen_letters, exact, numbers, numeric, overlap, yes_or_no
from langchain_r2.evals.items import Item

CHOICES = {"A": "a dog", "B": "enforce", "C": "the yard"}


def item(gold: str, *aliases: str, **meta: object) -> Item:
    return Item("1", "q", gold, aliases, meta)


@pytest.mark.parametrize(
    ("gold", "prediction", "score"),
    [
        ("Lima", " lima. ", 1),
        ("New  York", "new york", 1),
        ("Lima", "Lima, Peru", 0),
        ("Lima", "", 0),
        ("\uff11\uff12", "12", 1),  # the same digits, full width
        ("\u22125", "-5", 1),
        (" . ", "x", None),
    ],
)
def test_exact(gold: str, prediction: str, score: int | None) -> None:
    assert exact(prediction, item(gold)).score == score


def test_aliases_are_right_too() -> None:
    assert exact("NYC", item("New York", "nyc")).score == 1
    assert exact("NY", item("New York", "nyc")).score == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234.50", [Fraction("1234.5")]),
        ("$3.50", [Fraction("3.5")]),
        ("-$5", [Fraction(-5)]),
        ("\u22125", [Fraction(-5)]),
        ("3/4", [Fraction(3, 4)]),
        ("1e6 m", [Fraction(1_000_000)]),
        (".5", [Fraction(1, 2)]),
        ("1, 234", [Fraction(1), Fraction(234)]),
        ("12,34", []),  # neither a thousand nor a list: nobody knows
        ("18 m^2", [Fraction(18)]),
        ("3 CO2 and x2", [Fraction(3)]),
        ("at 10:30", []),
        ("4210_5", []),
        ("10 - 3", [Fraction(10), Fraction(3)]),
        ("10-3", [Fraction(10), Fraction(3)]),
        ("5.", [Fraction(5)]),
        ("(18)", [Fraction(18)]),
        ("18%", [Fraction(18)]),
        ("1/0", []),
        ("**18**", [Fraction(18)]),
        ("1e999999999", []),
        ("", []),
    ],
)
def test_numbers(text: str, found: list[Fraction]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("gold", "prediction", "score"),
    [
        ("18", "18.00 dollars", 1),
        ("18", "9 * 2 = 18", 1),
        ("18", "18 of 20", 0),  # the last number counts
        ("1,000,001", "1000000", 0),  # whole numbers have to be equal
        ("0.333333", "1/3", 1),
        ("0.5", "50", 0),  # no factor of 100, as some graders allow
        ("50%", "0.5", 0),
        ("3", "3.0000001", 0),
        ("5", "-5", 0),
        ("5", "", 0),
        ("5", "five", 0),
        ("about ten", "10", None),
        ("3 or 4", "3", None),
    ],
)
def test_numeric(gold: str, prediction: str, score: int | None) -> None:
    assert numeric(prediction, item(gold)).score == score


@pytest.mark.parametrize(
    ("prediction", "letters"),
    [
        ("B", "B"), ("b", "B"), ("(B)", "B"), ("B.", "B"), ("**B**", "B"), ("B) enforce", "B"), ("(B) enforce", "B"),
        ("B enforce", "B"), ("enforce", "B"), ("The answer is B.", "B"), ("answer: (C)", "C"), ("A dog", "A"),
        ("A cat", ""), ("I think so", ""), ("The answer is a mystery", ""), ("(A) or (B)", "AB"), ("", ""),
        ("I would say (C) the yard", "C"), ("the yard.", "C"), ("A: no", "A"),
    ],
)  # fmt: skip
def test_letters(prediction: str, letters: str) -> None:
    assert chosen_letters(prediction, CHOICES) == set(letters)


@pytest.mark.parametrize(
    ("gold", "prediction", "score"),
    [("B", "b)", 1), ("b", "B", 1), ("B", "(A) or (B)", 0), ("B", "", 0), ("F", "F", None), ("enforce", "B", None)],
)
def test_choice(gold: str, prediction: str, score: int | None) -> None:
    assert choice(prediction, item(gold, choices=CHOICES)).score == score


def test_choice_without_the_texts() -> None:
    assert choice("The answer is D", item("D")).score == 1
    assert choice("Dogs", item("D")).score == 0


@pytest.mark.parametrize(
    ("text", "says"), [("Yes.", True), ("No, never", False), ("Yes and no", None), ("Nobody", None), ("", None)]
)
def test_yes_or_no(text: str, says: bool | None) -> None:
    assert yes_or_no(text) is says


def test_overlap_of_nothing() -> None:
    assert overlap("the", ["a"]) == (True, 1.0)
    assert overlap("", ["x"]) == (False, 0.0)


def test_a_long_prediction_is_cut_not_searched() -> None:
    assert numeric("1," * 1_000_000, item("7")).score == 0
    assert choice("(" * 1_000_000, item("A")).score == 0
