"""What checking an answer to a puzzle takes: a value (one sandbox) and code (two), one check at a time."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from langchain_r2.evals.grading.code import CodeTask
from langchain_r2.evals.sandbox import SandboxChecker
from tests.benchmarks.measure import Result, difference, interleaved, interval, timed

SAT: Final = "def sat(x: List[int], n=10):\n    return sum(x) == n and len(x) == 2"
TASKS: Final = {
    "a value": CodeTask(SAT, "List[int]", "[3, 7]", "value"),
    "code": CodeTask(SAT, "List[int]", "def sol(n=10):\n    return [3, n - 3]", "code"),
}
PLAIN: Final = "Python alone, started and ended"
"""For comparison: on an idle machine about 10 ms. A check of a value takes one such start, one of code two; the next
one begins while one is at work, on another processor if there is a free one."""
BAR_MS: Final = 60.0


def run(*, quick: bool) -> Iterator[Result]:
    """Measure both; needs bubblewrap."""
    rounds = 10 if quick else 100
    with SandboxChecker(workers=1) as checker:
        for task in TASKS.values():
            if (verdict := checker.check(task)).status != "satisfied":
                raise RuntimeError(f"{task.answer!r} is right, yet: {verdict}")
        ways = {name: timed(lambda task=task: checker.check(task)) for name, task in TASKS.items()}  # type: ignore[misc]
        ways[PLAIN] = timed(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True))
        seconds = interleaved(rounds, ways)
    for name, took in seconds.items():
        ms = [second * 1e3 for second in took]
        yield Result(
            name=name if name == PLAIN else f"check of an answer that is {name}",
            **interval(difference, ms, [0.0] * rounds),
            unit="ms",
            bar=None if name == PLAIN else BAR_MS,
            rounds=rounds,
            # The fastest tenth shows what it takes where other work delays the rest.
            details={f"p{share}_ms": sorted(ms)[rounds * share // 100] for share in (10, 95)},
        )
