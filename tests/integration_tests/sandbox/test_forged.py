"""No answer gets a verdict by claiming one, and none gets out of being wrong by breaking the check."""

import subprocess
import sys

import pytest

from langchain_r2.evals.grading.code import CodeGrader, CodeTask
from langchain_r2.evals.items import Item
from langchain_r2.evals.sandbox import SandboxChecker
from tests.integration_tests.sandbox.forged import CODE, PUZZLE, VALUES


def fooled(answer: str) -> bool:
    """Whether the usual harness, one process that prints ``sat(sol())``, takes an answer for right."""
    harness = f"from typing import List\n{PUZZLE}\n{answer}\nassert isinstance(sol(), int)\nprint(sat(sol()))"
    done = subprocess.run([sys.executable, "-I", "-c", harness], capture_output=True, text=True, check=False)
    return "True" in done.stdout.split()


def test_there_are_enough_of_them() -> None:
    assert len(CODE) >= 24


@pytest.mark.parametrize("name", CODE)
def test_nothing_forged_is_accepted(name: str, checker: SandboxChecker) -> None:
    # Not `undecided` either: what cannot be graded is in no accuracy, so that would be a way out of being wrong.
    assert checker.check(CodeTask(PUZZLE, "int", CODE[name], "code")).status == "not_satisfied"


@pytest.mark.parametrize("value", VALUES)
async def test_no_value_but_the_right_one(value: str, checker: SandboxChecker) -> None:
    seven = Item("1", "?", "7", meta={"sat": "def sat(x: int):\n    return x == 7", "ans_type": "int"})
    grade = CodeGrader(checker)
    assert (await grade("7", seven)).score == 1
    assert (await grade(value, seven)).score == 0
    # Nor where nothing has looked at it before.
    assert checker.check(CodeTask(seven.meta["sat"], "int", value, "value")).status == "not_satisfied"


def test_the_usual_harness_takes_several_of_them() -> None:
    assert (
        sum(map(fooled, ["print('True')\n" + CODE["leaves_with_0"], CODE["redefines_sat"], CODE["equal_to_all"]])) == 3
    )


def test_a_right_answer_is_right_all_the_same(checker: SandboxChecker) -> None:
    sat = "def sat(x: List[int], n=3):\n    print(x)\n    import itertools\n    return sum(x) == n"
    for form, answer in (("value", "[1, 2]"), ("code", "def sol():\n    print('!')\n    return [x for x in (1, 2)]")):
        assert checker.check(CodeTask(sat, "List[int]", answer, form)).status == "satisfied"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", "'\\ud800 \\x00 \\'\"é'"),
        ("List[float]", "[0.1, -1e999, 1e308]"),
        ("int", "-(10**5000)"),
        ("List[List[bool]]", "[[True, False], []]"),
        ("List[str]", "[str(n) for n in range(100_000)]"),
    ],
)
def test_a_value_comes_through_unchanged(kind: str, value: str, checker: SandboxChecker) -> None:
    sat = f"def sat(x: {kind}):\n    return x == {value}"
    assert checker.check(CodeTask(sat, kind, f"def sol():\n    return {value}", "code")).status == "satisfied"
    other = f"def sol():\n    return {value}[:-1]" if kind != "int" else "def sol():\n    return 10**5000"
    assert checker.check(CodeTask(sat, kind, other, "code")).status == "not_satisfied"


def test_a_puzzle_that_cannot_be_loaded_is_nobodys_fault(checker: SandboxChecker) -> None:
    verdict = checker.check(CodeTask("def sat(x: int:\n", "int", "7", "value"))
    assert verdict.status == "undecided"
    assert "SyntaxError" in verdict.reason
