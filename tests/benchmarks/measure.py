"""What every benchmark shares: interleaved rounds, a bootstrap interval, the machine, the line that is printed."""

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from typing_extensions import TypedDict

RESAMPLES: Final = 2000

Rounds = dict[str, list[float]]
"""Per way of doing the same work, one measurement per round."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One figure against its bar."""

    name: str
    value: float
    low: float
    high: float
    """``low`` to ``high``: 95 % bootstrap interval over the rounds."""
    unit: str
    bar: float | None = None
    """None: shown for comparison only."""
    need: Literal["at most", "at least"] = "at most"
    rounds: int
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the figure itself (not its whole interval) keeps to the bar."""
        return self.bar is None or (self.value <= self.bar if self.need == "at most" else self.value >= self.bar)

    def line(self) -> str:
        """For people."""
        mark = "    " if self.bar is None else "pass" if self.passed else "FAIL"
        bar = "" if self.bar is None else f", {self.need} {self.bar:g}"
        details = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in self.details.items())
        figure = f"{self.value:.3g} {self.unit} [{self.low:.3g}, {self.high:.3g}]"
        return f"{mark}  {self.name}: {figure}{bar}; {self.rounds} rounds" + (f"; {details}" if details else "")

    def json(self) -> str:
        """For programs."""
        return json.dumps({**asdict(self), "passed": self.passed, "machine": machine()})


def interleaved(rounds: int, ways: dict[str, Callable[[], float]], *, warm_up: int = 1) -> Rounds:
    """Do every way once per round, in an order drawn anew each time, so that a busy moment falls on all of them.

    Args:
        rounds: How many rounds count.
        ways: Each does its work and returns its measurement.
        warm_up: Rounds before, which do not count.
    """
    measured: Rounds = {name: [] for name in ways}
    rng = random.Random(0)
    for number in range(-warm_up, rounds):
        for name in rng.sample(list(ways), len(ways)):
            value = ways[name]()
            if number >= 0:
                measured[name].append(value)
    return measured


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """The work as a way that measures its seconds."""

    def way() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return way


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the medians."""
    return statistics.median(a) / statistics.median(b)


def difference(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the medians."""
    return statistics.median(a) - statistics.median(b)


class Interval(TypedDict):
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def interval(
    figure: Callable[[Sequence[float], Sequence[float]], float], a: Sequence[float], b: Sequence[float]
) -> Interval:
    """A figure of two ways; whole rounds are drawn, so that pairs stay together."""
    rng = random.Random(0)
    pairs = list(zip(a, b, strict=True))
    drawn = sorted(figure(*zip(*rng.choices(pairs, k=len(pairs)), strict=True)) for _ in range(RESAMPLES))
    return {"value": figure(a, b), "low": drawn[RESAMPLES // 40], "high": drawn[-RESAMPLES // 40]}


def memory_mb(pid: int | Literal["self"] = "self", row: str = "VmRSS") -> float:
    """Memory of a process in MB, from Linux's /proc: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(row + ":"))


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    packages = ("langgraph", "langchain-core", "langchain-openai", "openai", "numpy")
    return {
        "cpu": cpu.partition(": ")[2] or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
