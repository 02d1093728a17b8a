"""P3: puzzles, prompts and gold; nothing is run here, so a scripted checker stands for what runs code."""

import ast
from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.code import CodeTask, CodeVerdict
from langchain_r2.evals.items import Item

ROW: dict[str, Any] = {
    "name": "Study_1:0",
    "sat": "def sat(s: str):\n    return s.count('o') == 3",
    "ans_type": "str",
    "sol_header": "def sol():",
    "sol_docstring": '    """Find a string with three \'o\'s."""',
    "sol_bodies": ["    return 'ooo'"],
    "module": "study.py",
    "notes": "",
    "weight": 1.0,
}


class Three:
    """Knows the one puzzle above: three letters."""

    def __init__(self) -> None:
        self.tasks: list[CodeTask] = []

    def check(self, task: CodeTask) -> CodeVerdict:
        self.tasks.append(task)
        assert task.sat == ROW["sat"]
        ok = ast.literal_eval(task.answer).count("o") == 3
        return CodeVerdict("satisfied" if ok else "not_satisfied")


def test_the_prompt_has_puzzle_words_and_type_but_no_solution(load: Callable[..., list[Item]]) -> None:
    [item] = load("p3", ROW)
    assert ROW["sat"] in item.query
    assert "Its type is str." in item.query
    assert "Find a string with three 'o's." in item.query
    assert "return 'ooo'" not in item.query
    assert "def sol" not in item.query
    assert item.gold == "def sol():\n    return 'ooo'"
    assert item.meta["family"] == "Study_1"


def test_a_puzzle_without_a_known_solution_is_an_item(load: Callable[..., list[Item]]) -> None:
    [item] = load("p3", {**ROW, "sol_bodies": []})
    assert item.gold == ""


def test_values_are_checked_by_the_checker(load: Callable[..., list[Item]], grades: Callable[..., Any]) -> None:
    [item] = load("p3", ROW)
    checker = Three()
    from langchain_r2.evals.grading import Tools

    said = grades("code", [("'ooo'", item), ("```python\n'ooo'\n```", item), ("'oo'", item)], Tools(checker=checker))
    assert [grade.score for grade in said] == [1, 1, 0]
    assert checker.tasks[0] == CodeTask(ROW["sat"], "str", "'ooo'", "value")


def test_without_a_checker_it_refuses(load: Callable[..., list[Item]], grades: Callable[..., Any]) -> None:
    [item] = load("p3", ROW)
    with pytest.raises(BadValueError, match="CodeChecker"):
        grades("code", [("'ooo'", item)])


@pytest.mark.parametrize("wrong", ["Dict[str, int]", "List[", "List[object]", "Liststr]", "int]"])
def test_types_that_puzzles_do_not_have_are_refused(wrong: str, load: Callable[..., list[Item]]) -> None:
    with pytest.raises(BadValueError, match="'ans_type' in line 1"):
        load("p3", {**ROW, "ans_type": wrong})


def test_the_sample(sample: Callable[..., list[Item]]) -> None:
    items = sample("p3", "p3.jsonl")
    assert len(items) == 300
    assert sum(not item.gold for item in items) == 8
    for item in items:
        told = item.query.replace(item.meta["sat"], "")  # one puzzle has its solution in it
        assert not item.gold or item.gold.partition("\n")[2].strip() not in told
    assert all("sol_bodies" not in item.meta for item in items)
