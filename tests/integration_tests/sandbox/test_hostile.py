"""Programs that want out: none gets out, none is taken for right, none is left running, and the checker goes on."""

import platform
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_r2.evals.grading.code import CodeTask
from langchain_r2.evals.sandbox import SandboxChecker, seccomp
from tests.integration_tests.sandbox.conftest import Outside, family, left, running
from tests.integration_tests.sandbox.hostile import CONTROLLED, WILD, sol

SEVEN = CodeTask("def sat(x: int):\n    return x == 7", "int", "7", "value")


def test_there_are_enough_of_them() -> None:
    assert len(CONTROLLED) + len(WILD) >= 40


@pytest.mark.parametrize("name", CONTROLLED)
def test_what_does_harm_uncontained_does_none_contained(
    name: str, checker: SandboxChecker, unsafe: SandboxChecker, outside: Outside
) -> None:
    task = outside.task(sol(CONTROLLED[name]))
    assert unsafe.check(task).status == "satisfied", "the program does no harm: it tests nothing"
    assert checker.check(task).status == "not_satisfied"


@pytest.mark.parametrize("name", WILD)
def test_what_harms_a_machine_does_not_harm_this_one(name: str, checker: SandboxChecker, outside: Outside) -> None:
    verdict = checker.check(outside.task(sol(WILD[name])))
    assert verdict.status == "not_satisfied", verdict
    assert checker.check(SEVEN).status == "satisfied"


def test_no_system_call_outside_the_list_is_allowed(checker: SandboxChecker, unsafe: SandboxChecker) -> None:
    """One by one, by number: every one that the list does not name, those of the other numbering (x32) included."""
    machine = platform.machine()
    # The kernel itself passes on what its probes use (uretprobe, uprobe), which it takes from nobody else.
    skipped = {*seccomp.numbers(machine).values(), *seccomp.checked_numbers(machine), 335, 336}
    code = sol(f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        numbers = [n for n in range(480) if n not in {skipped}]
        numbers += [n | 0x40000000 for n in (0, 1, 57, 59, 101)]
        passed = [n for n in numbers if libc.syscall(n, -1, -1, -1, -1, -1, -1) != -1 or ctypes.get_errno() != 1]
        return ",".join(map(str, passed))
        """)
    empty = CodeTask("def sat(passed: str):\n    return passed == ''", "str", code, "code")
    assert checker.check(empty).status == "satisfied"


def test_arguments_of_allowed_calls_are_checked(checker: SandboxChecker, unsafe: SandboxChecker) -> None:
    code = sol("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        calls = [(libc.fcntl, 1, 1031, 4096), (libc.ioctl, 1, 0x5412, 0), (libc.prlimit, 1, 0, 0, 0)]
        refused = 0
        for call, *arguments in calls:
            refused += call(*arguments) == -1 and ctypes.get_errno() == 1
        return refused
        """)
    three = CodeTask("def sat(n: int):\n    return n == 3", "int", code, "code")
    assert checker.check(three).status == "satisfied"
    assert unsafe.check(three).status == "not_satisfied"


def test_nobody_survives(checker: SandboxChecker, unsafe: SandboxChecker, outside: Outside) -> None:
    bodies = [CONTROLLED["daemon"], WILD["sleep"], WILD["loop_that_ignores_signals"], WILD["fork_bomb"]]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(checker.check, [outside.task(sol(body)) for body in bodies]))
    assert {verdict.status for verdict in verdicts} == {"not_satisfied"}
    assert unsafe.check(outside.task(sol(CONTROLLED["daemon"]))).status == "satisfied"
    for either in (checker, unsafe):
        client = either._client
        assert client is not None
        assert client.alive
        client._spares = 0
        for _ in range(4):  # those that wait for an order
            assert either.check(SEVEN).status == "satisfied"
        client._spares = min(either._workers, 4)
        assert left(lambda pid=client._process.pid: family(pid)) == set()  # type: ignore[misc]


def test_many_threads_share_it(checker: SandboxChecker) -> None:
    tasks = [SEVEN._replace(answer=str(n)) for n in range(40)]
    with ThreadPoolExecutor(16) as pool:
        statuses = [verdict.status for verdict in pool.map(checker.check, tasks)]
    assert statuses == ["satisfied" if n == 7 else "not_satisfied" for n in range(40)]


def test_closing_ends_what_is_under_way(needs_bubblewrap: None, outside: Outside) -> None:
    checker = SandboxChecker(workers=1)
    client = checker._client
    assert client is not None
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(checker.check, outside.task(sol(WILD["sleep"])))
        while not client._waiting:
            threading.Event().wait(0.01)
        checker.close()
        assert under_way.result(30).status == "undecided"
    assert checker.check(SEVEN).status == "undecided"


def test_a_supervisor_that_is_killed_is_replaced(needs_bubblewrap: None, outside: Outside) -> None:
    with SandboxChecker(workers=2) as checker:
        first = checker._client
        assert first is not None
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(checker.check, outside.task(sol(WILD["sleep"])))
            while len(inside := family(first._process.pid)) < 3:  # bubblewrap twice, and Python
                threading.Event().wait(0.01)
            first._process.kill()
            assert under_way.result(30).status == "undecided"
        assert checker.check(SEVEN).status == "satisfied"
        assert left(lambda: running(inside)) == set()
