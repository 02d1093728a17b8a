"""Numbers with intervals."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS: Final = 2000
"""Of a bootstrap."""


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float


def proportion(hits: Sequence[bool]) -> Estimate:
    """A share with Wilson's 95 % interval (Wilson 1927), which holds near 0 and 1 where the normal one does not."""
    n = len(hits)
    if not n:
        return Estimate(math.nan, math.nan, math.nan)
    p, z = sum(hits) / n, 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))


def mean_score(scores: Sequence[float]) -> Estimate:
    """Mean of scores from 0 to 1, with its 95 % interval: Wilson's where all are 0 or 1, else that of a bootstrap."""
    if all(score in {0, 1} for score in scores):
        return proportion([score > 0 for score in scores])
    return paired_difference(scores, [0.0] * len(scores))


def paired_difference(a: Sequence[float], b: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean of ``a - b`` over the same items, with the 95 % percentile interval of a bootstrap over items."""
    gaps = _array(a, b)
    gap = gaps[0] - gaps[1]
    return _interval(float(gap.mean()), gap[_drawn(len(gap), draws, seed)].mean(1))


def cost_ratio(a: Sequence[float], b: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Ratio of total costs over the same items, with the 95 % percentile interval of a bootstrap over items."""
    own, other = _array(a, b)
    at = _drawn(len(own), draws, seed)
    return _interval(float(own.sum() / other.sum()), own[at].sum(1) / other[at].sum(1))


class Series(NamedTuple):
    """Grades and costs of a method, over the same items as of others."""

    scores: Sequence[float]
    costs: Sequence[float]


def above_mix(own: Series, first: Series, second: Series, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """How much more accurate a method is than a mixture by chance of two others that costs as much.

    In every draw of the bootstrap the share is set anew, so that both cost the same; it is kept between 0 and 1.
    """
    score, first_score, second_score = _array(own.scores, first.scores, second.scores)
    cost, first_cost, second_cost = _array(own.costs, first.costs, second.costs)

    def gap(at: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        low, high = first_cost[at].mean(-1), second_cost[at].mean(-1)
        room = np.where(high > low, high - low, 1.0)
        share = np.where(high > low, np.clip((cost[at].mean(-1) - low) / room, 0, 1), 0.0)
        mixed = (1 - share) * first_score[at].mean(-1) + share * second_score[at].mean(-1)
        return np.atleast_1d(score[at].mean(-1) - mixed)

    value = float(gap(np.arange(len(score)))[0])
    return _interval(value, gap(_drawn(len(score), draws, seed)))


def _array(*columns: Sequence[float]) -> npt.NDArray[np.float64]:
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        raise ValueError("as many items in each, and at least one")
    return np.array(columns, float)


@lru_cache(maxsize=4)
def _drawn(n: int, draws: int, seed: int) -> npt.NDArray[np.intp]:
    """Items drawn with replacement, a row for each draw; the same for the same numbers."""
    return np.random.default_rng(seed).integers(0, n, (draws, n))


def _interval(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
