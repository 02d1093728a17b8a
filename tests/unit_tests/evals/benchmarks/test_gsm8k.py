"""GSM8K: the number after the last ``####``."""

from collections.abc import Callable
from typing import Any

from langchain_r2.evals.items import Item

ROWS: list[dict[str, Any]] = [
    {"question": "A sells 9 eggs at $2.", "answer": "9 * 2 = <<9*2=18>>18\n#### 18"},
    {"question": "A long way?", "answer": "It is far.\n#### 1,234"},
    {"question": "Below zero?", "answer": "#### 7 is wrong, so\n#### -5"},
]


def broken(item: Item) -> list[str]:
    number = item.gold.replace(",", "")
    return [f"{number}1", str(int(number) + 1), f"{number}.5", "none", f"{number} or 99"]


def test_self_check(load: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    items = load("gsm8k", *ROWS)
    assert [item.gold for item in items] == ["18", "1,234", "-5"]
    assert self_check("numeric", items, broken) == {"graded": 3}


def test_the_solution_is_not_shown(load: Callable[..., list[Item]]) -> None:
    assert all("####" not in item.query for item in load("gsm8k", *ROWS))


def test_the_sample(sample: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    assert self_check("numeric", sample("gsm8k", "gsm8k_test.jsonl"), broken) == {"graded": 300}
