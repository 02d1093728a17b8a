"""What is decided of an answer before any code runs, and what a checker's word means."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2.evals.grading.code import LONGEST, CodeGrader, CodeTask, CodeVerdict, has_type, unfenced
from langchain_r2.evals.items import Item


class Says:
    def __init__(self, status: Any = "satisfied") -> None:
        self.status, self.tasks = status, list[CodeTask]()

    def check(self, task: CodeTask) -> CodeVerdict:
        self.tasks.append(task)
        return CodeVerdict(self.status, "because")


def puzzle(ans_type: str) -> Item:
    return Item("a", "q", "", meta={"sat": "def sat(x): return True", "ans_type": ans_type})


@pytest.mark.parametrize(
    ("value", "ans_type", "fits"),
    [
        (1, "int", True), (True, "int", False), (1, "float", False), (1.0, "float", True), (True, "bool", True),
        (1, "bool", False), ("a", "str", True), ([1, 2], "List[int]", True), ([1, True], "List[int]", False),
        ([], "List[int]", True), ((1, 2), "List[int]", False), ([[1], []], "List[List[int]]", True),
        ([[1], [1.0]], "List[List[int]]", False), (None, "int", False), ({}, "Dict[str, int]", False),
    ],
)  # fmt: skip
def test_types_are_exact(value: object, ans_type: str, fits: bool) -> None:
    assert has_type(value, ans_type) is fits


@pytest.mark.parametrize(
    ("answer", "ans_type"),
    [
        ("True", "int"), ("1", "float"), ("(1, 2)", "List[int]"), ("__import__('os').getcwd()", "str"),
        ("eval('1')", "int"), ("[0] * 9", "List[int]"), ("", "str"), ("(" * 5000, "int"), ("'a' + 'b'", "str"),
        ("f'{1}'", "str"), ("1\n2", "int"), ("'" + "a" * LONGEST + "'", "str"),
    ],
)  # fmt: skip
def test_what_is_no_literal_of_the_type_is_wrong_and_nothing_is_run(
    answer: str, ans_type: str, grades: Callable[..., Any]
) -> None:
    checker = Says()
    [grade] = grades(CodeGrader(checker), [(answer, puzzle(ans_type))])
    assert grade.score == 0
    assert checker.tasks == []


@pytest.mark.parametrize(("status", "score"), [("satisfied", 1), ("not_satisfied", 0), ("undecided", None)])
def test_the_checkers_word(status: str, score: int | None, grades: Callable[..., Any]) -> None:
    [grade] = grades(CodeGrader(Says(status)), [("[1]", puzzle("List[int]"))])
    assert grade.score == score
    assert (grade.status == "ungradable") == (score is None)


def test_source_is_passed_on_only_where_it_is_allowed(grades: Callable[..., Any]) -> None:
    source, checker = "def sol():\n    return 1", Says()
    [refused] = grades(CodeGrader(checker), [(source, puzzle("int"))])
    assert (refused.score, checker.tasks) == (0, [])
    [taken] = grades(CodeGrader(checker, allow_code=True), [(f"```python\n{source}\n```", puzzle("int"))])
    assert (taken.score, checker.tasks[0].form, checker.tasks[0].answer) == (1, "code", source)


@pytest.mark.parametrize(
    ("text", "inside"),
    [("```python\n[1]\n```", "[1]"), ("`[1]`", "[1]"), (" [1] ", "[1]"), ("```\n1\n``` or ```\n2\n```", "2")],
)
def test_fences(text: str, inside: str) -> None:
    assert unfenced(text) == inside
