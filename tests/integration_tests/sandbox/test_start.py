"""What a sandbox's Python has done before anybody's code runs in it: little, since it starts anew for every run."""

import contextlib
import os
import signal
import threading

import pytest

from langchain_r2.evals.grading.code import CodeTask, CodeVerdict
from langchain_r2.evals.sandbox import SandboxChecker
from tests.integration_tests.sandbox.conftest import family, left, running

LOADED = "def sat(name: str):\n    import sys\n    return name in sys.modules"


@pytest.mark.parametrize("name", ["os", "ast", "json", "typing", "re"])
def test_what_takes_time_to_import_is_not_imported(checker: SandboxChecker, name: str) -> None:
    assert checker.check(CodeTask(LOADED, "str", repr(name), "value")).status == "not_satisfied"


def test_what_reads_literals_is_imported_for_literals_only(checker: SandboxChecker) -> None:
    assert checker.check(CodeTask(LOADED, "str", "'_ast'", "value")).status == "satisfied"
    assert checker.check(CodeTask(LOADED, "str", "def sol():\n    return '_ast'", "code")).status == "not_satisfied"


def test_the_next_sandbox_waits_and_is_used_once(needs_bubblewrap: None) -> None:
    right = CodeTask("def sat(x: int):\n    return x == 7", "int", "7", "value")
    with SandboxChecker(workers=1) as checker:
        client = checker._client
        assert client is not None
        waiting = []
        for _ in range(3):
            assert checker.check(right).status == "satisfied"
            waiting.append(left_over(client._process.pid))
        assert all(waiting)
        assert not waiting[0] & waiting[1]
        assert not waiting[1] & waiting[2]
    assert left(lambda: running(set.union(*waiting))) == set()


def test_one_that_ended_while_it_waited_is_replaced(needs_bubblewrap: None) -> None:
    right = CodeTask("def sat(x: int):\n    return x == 7", "int", "7", "value")
    with SandboxChecker(workers=1) as checker:
        client = checker._client
        assert client is not None
        for _ in range(3):
            waiting = left_over(client._process.pid)
            for pid in waiting:
                with contextlib.suppress(ProcessLookupError):  # they end with each other
                    os.kill(pid, signal.SIGKILL)
            assert left(lambda: running(waiting)) == set()  # noqa: B023 - called at once
            assert checker.check(right) == CodeVerdict("satisfied")


def left_over(supervisor: int) -> set[int]:
    """The processes that wait for an order, once all others have ended."""
    pause = threading.Event()
    found, before = family(supervisor), set[int]()
    while found != before or len(found) < 3:  # bubblewrap twice, and Python
        before = found
        pause.wait(0.1)
        found = family(supervisor)
    return found


def test_the_runner_comes_compiled(checker: SandboxChecker) -> None:
    code = "def sol():\n    import sys\n    return sys.orig_argv[-2]"
    task = CodeTask(
        "def sat(given: str):\n    return 'marshal.loads' in given and 'def ' not in given", "str", code, "code"
    )
    assert checker.check(task).status == "satisfied"
