"""What an evaluation will take, told before it goes on: from the first items of each method."""

from dataclasses import dataclass
from typing import Final

from langchain_r2.ledger import usd

PILOT: Final = 3
"""Items of each method that an estimate is made from; their records count."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is still to be done."""

    usd: float | None
    """To be spent on calls that were not made yet; None: a price is unknown."""
    fastest_s: float
    """If items under way at a time cost no speed."""
    slowest_s: float
    """If they share one processor."""
    runs: int
    """Items times methods that have no record."""

    def __str__(self) -> str:
        """As a sentence."""
        cost = "at an unknown cost" if self.usd is None else f"about {usd(self.usd)} USD"
        return f"{self.runs} runs to go, {cost}, between {_time(self.fastest_s)} and {_time(self.slowest_s)}"


def estimated(
    *, spent_usd: float | None, seconds: float, pilots: int, runs: int, concurrency: int, extra_usd: float | None
) -> Estimate:
    """From what some pilot runs took.

    Args:
        spent_usd: On them; what was kept from before costs nothing again.
        seconds: They took together.
        pilots: How many there were.
        runs: How many are to come.
        concurrency: Items under way at a time.
        extra_usd: For what the pilot could not see.
    """
    each = seconds / max(1, pilots)
    cost = None if spent_usd is None or extra_usd is None else spent_usd / max(1, pilots) * runs + extra_usd
    faster = max(1.0, concurrency / PILOT)
    return Estimate(usd=cost, fastest_s=each * runs / faster, slowest_s=each * runs, runs=runs)


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
