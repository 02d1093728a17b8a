"""Intervals against known values."""

import math
import random

import pytest

from langchain_r2.evals.metrics import cost_ratio, paired_difference, proportion


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval(hits: int, n: int, low: float, high: float) -> None:
    estimate = proportion([True] * hits + [False] * (n - hits))
    assert estimate.value == hits / n
    assert estimate.low == pytest.approx(low, abs=1e-3)
    assert estimate.high == pytest.approx(high, abs=1e-3)


def test_no_items_have_no_proportion() -> None:
    assert math.isnan(proportion([]).value)


def test_a_paired_difference_uses_the_pairs() -> None:
    rng = random.Random(1)
    base = [float(rng.random() < 0.5) for _ in range(400)]
    better = [max(b, float(rng.random() < 0.1)) for b in base]
    paired = paired_difference(better, base)
    assert paired.low > 0
    shuffled = base[:]
    rng.shuffle(shuffled)
    unpaired = paired_difference(better, shuffled)
    assert unpaired.high - unpaired.low > 2 * (paired.high - paired.low)


def test_the_difference_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(2)
    covered = 0
    for trial in range(60):
        a = [float(rng.random() < 0.7) for _ in range(150)]
        b = [float(rng.random() < 0.6) for _ in range(150)]
        interval = paired_difference(a, b, draws=300, seed=trial)
        covered += interval.low <= 0.1 <= interval.high
    assert covered >= 50


def test_cost_ratio_is_of_totals() -> None:
    estimate = cost_ratio([1.0, 3.0], [2.0, 6.0])
    assert estimate == (0.5, 0.5, 0.5)
    assert cost_ratio([1.0, 1.0], [1.0, 3.0]).value == 0.5
