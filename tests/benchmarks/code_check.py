"""What checking an answer to a puzzle takes: a value (one sandbox) and code (two), one check at a time."""

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
BAR_MS: Final = 60.0


def run(*, quick: bool) -> Iterator[Result]:
    """Measure both; needs bubblewrap."""
    rounds = 10 if quick else 100
    with SandboxChecker(workers=1) as checker:
        for task in TASKS.values():
            if (verdict := checker.check(task)).status != "satisfied":
                raise RuntimeError(f"{task.answer!r} is right, yet: {verdict}")
        seconds = interleaved(rounds, {n: timed(lambda t=t: checker.check(t)) for n, t in TASKS.items()})  # type: ignore[misc]
    for name, took in seconds.items():
        ms = [second * 1e3 for second in took]
        yield Result(
            name=f"check of an answer that is {name}",
            **interval(difference, ms, [0.0] * rounds),
            unit="ms",
            bar=BAR_MS,
            rounds=rounds,
            details={"p95_ms": sorted(ms)[int(rounds * 0.95)]},
        )
