"""Compares routers on one table of outcomes, with paired bootstrap intervals.

Shapes: ``_N`` prompts, ``_M`` models.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_r2.routers.success import cheapest_within
from training.outcomes.heads import Fitted
from training.outcomes.measures import (
    Floats,
    Interval,
    Operating,
    apgr,
    bootstrap,
    calibration_error,
    choices,
    cpt,
    curve_saving,
    operating,
    slack_for,
)
from training.outcomes.table import Outcomes

Places = npt.NDArray[np.intp]


class Table(NamedTuple):
    """What is compared on."""

    train: Outcomes
    test: Outcomes

    @property
    def two(self) -> bool:
        """Whether PGR is defined: one weak and one strong model."""
        return len(self.test.models) == 2

    def gain(self, score_NM: Floats) -> Floats:
        """How much the strong model is wanted."""
        gain_N: Floats = score_NM[:, -1] - score_NM[:, 0]
        return gain_N

    def select(self, score_NM: Floats) -> float:
        """What settings are chosen by, on training prompts out of fold: APGR, or the quality of the best choice."""
        if self.two:
            return apgr(self.gain(score_NM), self.train.quality_NM)
        return operating(choices(score_NM, 0.0), self.train.quality_NM, self.train.cost_M).quality

    @property
    def best_single(self) -> int:
        """The model that is best on training prompts."""
        return int(self.train.quality_NM.mean(0).argmax())


def random_scores(table: Table, seed: int = 0) -> Fitted:
    """Scores that know nothing."""
    rng = np.random.default_rng(seed)
    return Fitted(rng.random(table.test.quality_NM.shape), rng.random(table.train.quality_NM.shape), 0.0)


def row(table: Table, name: str, fitted: Fitted) -> dict[str, Any]:
    """All figures of one router."""
    quality_NM, cost_M, best = table.test.quality_NM, table.test.cost_M, table.best_single
    figures: dict[str, Any] = {"router": name, "strength": fitted.strength}
    n = len(quality_NM)
    if table.two:
        gain_N = table.gain(fitted.test_NM)
        figures["APGR"] = bootstrap(n, lambda at: apgr(gain_N[at], quality_NM[at]))
        for target in (0.5, 0.8):
            figures[f"CPT{target:.0%}"] = bootstrap(n, _least_share(gain_N, quality_NM, target), draws=300)
    single = table.train.quality_NM[:, best].mean()
    slack = slack_for(fitted.train_NM, table.train.quality_NM, table.train.cost_M, single)
    chosen_N, boldest_N = choices(fitted.test_NM, slack), choices(fitted.test_NM, 0.0)

    def at_slack(at: Places) -> Operating:
        return operating(chosen_N[at], quality_NM[at], cost_M)

    figures |= {
        "slack": slack,
        "quality": bootstrap(n, lambda at: at_slack(at).quality - float(quality_NM[at, best].mean())),
        "CostSave": bootstrap(n, lambda at: 1 - at_slack(at).cost / float(cost_M[best])),
        "PerfGain": bootstrap(
            n, lambda at: operating(boldest_N[at], quality_NM[at], cost_M).quality - float(quality_NM[at, best].mean())
        ),
    }
    figures["CostSave on the curve"] = curve_saving(fitted.test_NM, quality_NM, cost_M, best)
    if fitted.head is not None:
        figures["ECE"] = calibration_error(fitted.test_NM, quality_NM)
    return figures


def _least_share(gain_N: Floats, quality_NM: Floats, target: float) -> Callable[[Places], float]:
    return lambda at: cpt(gain_N[at], quality_NM[at], target)


def difference(table: Table, ours: Fitted, other: Fitted) -> dict[str, Interval]:
    """Ours less another, on the same prompts."""
    quality_NM, n = table.test.quality_NM, len(table.test.prompts)
    if table.two:
        a_N, b_N = table.gain(ours.test_NM), table.gain(other.test_NM)
        return {
            "APGR": bootstrap(n, lambda at: apgr(a_N[at], quality_NM[at]) - apgr(b_N[at], quality_NM[at])),
        }
    ours_N, others_N = choices(ours.test_NM, 0.0), choices(other.test_NM, 0.0)
    gap_N = quality_NM[np.arange(n), ours_N] - quality_NM[np.arange(n), others_N]
    return {"quality of the best choice": bootstrap(n, lambda at: float(gap_N[at].mean()))}


def decision_ms(table: Table, fitted: Fitted, vectors_ND: npt.NDArray[np.float32] | None) -> float:
    """Milliseconds per decision after the embedding, one at a time: the median over test prompts."""
    head = fitted.head
    assert head is not None
    times = []
    for i, prompt in enumerate(table.test.prompts[:500]):
        started = time.perf_counter()
        one = head.of_texts([prompt]) if vectors_ND is None else head.of_vectors(vectors_ND[i : i + 1])
        cheapest_within(list(map(float, one[0])), head.slack)
        times.append(time.perf_counter() - started)
    return float(np.median(times) * 1e3)
