"""What a sandbox's Python has done before anybody's code runs in it: little, since it starts anew for every run."""

import pytest

from langchain_r2.evals.grading.code import CodeTask
from langchain_r2.evals.sandbox import SandboxChecker

LOADED = "def sat(name: str):\n    import sys\n    return name in sys.modules"


@pytest.mark.parametrize("name", ["os", "ast", "json", "typing", "re"])
def test_what_takes_time_to_import_is_not_imported(checker: SandboxChecker, name: str) -> None:
    assert checker.check(CodeTask(LOADED, "str", repr(name), "value")).status == "not_satisfied"


def test_what_reads_literals_is_imported_for_literals_only(checker: SandboxChecker) -> None:
    assert checker.check(CodeTask(LOADED, "str", "'_ast'", "value")).status == "satisfied"
    assert checker.check(CodeTask(LOADED, "str", "def sol():\n    return '_ast'", "code")).status == "not_satisfied"


def test_the_runner_comes_compiled(checker: SandboxChecker) -> None:
    code = "def sol():\n    import sys\n    return sys.orig_argv[-2]"
    task = CodeTask(
        "def sat(given: str):\n    return 'marshal.loads' in given and 'def ' not in given", "str", code, "code"
    )
    assert checker.check(task).status == "satisfied"
