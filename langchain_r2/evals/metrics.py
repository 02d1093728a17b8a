"""Numbers with intervals."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


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
    return _bootstrap(scores, lambda sample: sum(sample) / len(sample), 2000, 0)


def paired_difference(a: Sequence[float], b: Sequence[float], *, draws: int = 2000, seed: int = 0) -> Estimate:
    """Mean of ``a - b`` over the same items, with the 95 % percentile interval of a bootstrap over items."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return _bootstrap(differences, lambda sample: sum(sample) / len(sample), draws, seed)


def cost_ratio(a: Sequence[float], b: Sequence[float], *, draws: int = 2000, seed: int = 0) -> Estimate:
    """Ratio of total costs over the same items, with the 95 % percentile interval of a bootstrap over items."""
    pairs = list(zip(a, b, strict=True))
    return _bootstrap(pairs, lambda sample: sum(x for x, _ in sample) / sum(y for _, y in sample), draws, seed)


def _bootstrap(items: Sequence[T], statistic: Callable[[Sequence[T]], float], draws: int, seed: int) -> Estimate:
    rng = random.Random(seed)  # noqa: S311 - resampling
    n = len(items)
    values = sorted(statistic([items[rng.randrange(n)] for _ in range(n)]) for _ in range(draws))
    return Estimate(statistic(items), values[int(0.025 * draws)], values[min(draws - 1, int(0.975 * draws))])
