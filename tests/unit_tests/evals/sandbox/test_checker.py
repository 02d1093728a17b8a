"""The checker where there is no sandbox, and the parts of the runner that can be looked at from outside.

What needs bubblewrap is in tests/integration_tests/sandbox.
"""

import math
import sys
from typing import Any

import pytest

from langchain_r2.errors import SandboxError
from langchain_r2.evals.grading.code import CodeTask, has_type
from langchain_r2.evals.sandbox import Limits, SandboxChecker, checker, launch, runner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

SEVEN = CodeTask("def sat(x: int):\n    return x == 7", "int", "7", "value")


@pytest.fixture
def nothing_contains(monkeypatch: pytest.MonkeyPatch) -> None:
    def contained(limits: Limits) -> launch.Launch:
        raise SandboxError("there is no 'bwrap'", "Install it.")

    monkeypatch.setattr(checker, "contained", contained)


def test_without_a_sandbox_it_refuses(nothing_contains: None) -> None:
    with pytest.raises(SandboxError, match=r"no 'bwrap'. Install it. .*allow_unsafe_execution=True"):
        SandboxChecker()


def test_what_does_not_contain_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "contained", launch.plain)
    with pytest.raises(SandboxError, match=r"does not hold.*socket.*fork.*proc"):
        SandboxChecker()


def test_what_does_not_start_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = launch.Launch(["/bin/sh", "-c", "echo Creating new namespace failed >&2; exit 1"])
    monkeypatch.setattr(checker, "contained", lambda limits: broken)
    with pytest.raises(SandboxError, match=r"does not work.*Creating new namespace failed"):
        SandboxChecker()


def test_unsafe_execution_has_to_be_asked_for_and_warns(nothing_contains: None) -> None:
    with pytest.warns(RuntimeWarning, match="with all your rights: there is no 'bwrap'"):
        made = SandboxChecker(allow_unsafe_execution=True)
    with made:
        assert not made.contained
        assert made.check(SEVEN).status == "satisfied"
        assert made.check(SEVEN._replace(answer="8")).status == "not_satisfied"
        code = SEVEN._replace(form="code", answer="def sol():\n    return 3 + 4")
        assert made.check(code).status == "satisfied"
        assert made.check(code._replace(answer="def sol():\n    return 7.0")).reason == "sol() gave float, not int"
    assert made.check(SEVEN).status == "undecided"


@pytest.mark.parametrize("ans_type", ["int", "float", "bool", "str", "List[int]", "List[List[int]]", "Dict[str, int]"])
@pytest.mark.parametrize("value", [1, True, 1.0, "a", [1], [True], [[1], []], [], (1,), None, {}])
def test_the_runner_and_the_grader_know_the_same_types(value: object, ans_type: str) -> None:
    assert runner.has_type(value, ans_type) is has_type(value, ans_type)


@pytest.mark.parametrize("value", [True, 0, -(10**30), 0.1, -1e308, "é\x00'\"\ud800", [], [[1], []], ["a", "b"]])
def test_values_survive_the_way_between_the_sandboxes(value: Any) -> None:
    assert runner.from_json(runner.as_json(value)) == value
    assert type(runner.from_json(runner.as_json(value))) is type(value)
    assert runner.from_literal(repr(value)) == value


def test_numbers_without_a_value_survive_too() -> None:
    values: Any = runner.from_json(runner.as_json([math.inf, -math.inf, math.nan]))
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])


@pytest.mark.parametrize("text", ["f()", "-'a'", "-True", "x", "1 + 1", "(1,)", "{}", "lambda: 1", "1; 2", ""])
def test_only_literals_are_read(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        runner.from_literal(text)


@pytest.mark.parametrize("text", ["[1] 2", "[1", "'a'", "", "nan"])
def test_only_whole_json_is_read(text: str) -> None:
    with pytest.raises((ValueError, StopIteration)):
        runner.from_json(text)
