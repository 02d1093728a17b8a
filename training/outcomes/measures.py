"""What a router is worth on a table: APGR, CPT, CostSave and PerfGain.

Sources: RouteLLM (arXiv 2406.18665) for PGR, APGR and CPT, whose eleven points are taken here too; LLMRouterBench for
CostSave and PerfGain. Deviation: the slack at which a router is compared is chosen on training data, out of fold.

Shapes: ``_N`` prompts, ``_M`` models, ``_K`` settings of the slack.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SLACKS_K = np.concatenate([[0.0], np.geomspace(0.002, 1.0, 60)])


class Interval(NamedTuple):
    """A figure and where 95 % of its bootstrap draws lie."""

    value: float
    low: float
    high: float


def choices(score_NM: Floats, slack: float) -> npt.NDArray[np.intp]:
    """The cheapest model at most ``slack`` below the best, per prompt; models stand cheapest first."""
    chosen_N: npt.NDArray[np.intp] = np.argmax(score_NM >= score_NM.max(1, keepdims=True) - slack, axis=1)
    return chosen_N


def apgr(gain_N: Floats, quality_NM: Floats, points: int = 11) -> float:
    """Area under PGR over the share of calls to the strong model, of two; random is 0.5.

    Args:
        gain_N: How much the strong model is wanted, per prompt.
        quality_NM: The weak model's quality, and the strong one's.
        points: Shares at which PGR is taken.
    """
    curve = _pgr_curve(gain_N, quality_NM)
    at = np.linspace(0, len(gain_N), points).astype(int)
    return float(np.trapezoid(curve[at], dx=1 / (points - 1)))


def cpt(gain_N: Floats, quality_NM: Floats, target: float) -> float:
    """Least share of calls to the strong model with which PGR reaches a target; 1 where it never does."""
    reached = np.flatnonzero(_pgr_curve(gain_N, quality_NM) >= target)
    return float(reached[0] / len(gain_N)) if len(reached) else 1.0


def _pgr_curve(gain_N: Floats, quality_NM: Floats) -> Floats:
    """PGR after 0, 1, ... N calls to the strong model, those that want it most first."""
    step_N = (quality_NM[:, 1] - quality_NM[:, 0])[np.argsort(-gain_N, kind="stable")]
    total = step_N.sum()
    return np.concatenate([[0.0], np.cumsum(step_N)]) / (total or 1.0)


class Operating(NamedTuple):
    """Quality and relative cost of a way to choose."""

    quality: float
    cost: float


def operating(chosen_N: npt.NDArray[np.intp], quality_NM: Floats, cost_M: Floats) -> Operating:
    """Mean quality and cost of a choice per prompt."""
    rows = np.arange(len(chosen_N))
    return Operating(float(quality_NM[rows, chosen_N].mean()), float(cost_M[chosen_N].mean()))


def slack_for(score_NM: Floats, quality_NM: Floats, cost_M: Floats, target: float) -> float:
    """The slack of least cost whose quality reaches a target on these (training) prompts; the best one if none does."""
    tried = [(slack, operating(choices(score_NM, slack), quality_NM, cost_M)) for slack in SLACKS_K]
    enough = [(point.cost, slack) for slack, point in tried if point.quality >= target]
    return float(min(enough)[1]) if enough else float(max(tried, key=lambda pair: pair[1].quality)[0])


def curve_saving(score_NM: Floats, quality_NM: Floats, cost_M: Floats, best: int) -> Interval:
    """Largest cut of cost on the test curve at the best single model's quality there: the field's CostSave.

    The slack is the one that turns out best on these very prompts, so it flatters; see ``slack_for``.
    """
    rows = np.arange(len(score_NM))
    chosen_KN = np.array([choices(score_NM, slack) for slack in SLACKS_K])
    quality_NK = np.stack([quality_NM[rows, chosen_N] for chosen_N in chosen_KN], 1)
    cost_NK = cost_M[chosen_KN.T]

    def saving(at: npt.NDArray[np.intp]) -> float:
        weight_N = np.bincount(at, minlength=len(rows)) / len(rows)
        enough = weight_N @ quality_NK >= weight_N @ quality_NM[:, best] - 1e-12
        return float(1 - (weight_N @ cost_NK)[enough].min() / cost_M[best]) if enough.any() else 0.0

    return bootstrap(len(rows), saving)


def calibration_error(probability_NM: Floats, quality_NM: Floats, bins: int = 10) -> float:
    """Expected calibration error over all models: mean gap of stated and real probability in bins of equal count."""
    stated, real = probability_NM.ravel(), quality_NM.ravel()
    parts = np.array_split(np.argsort(stated, kind="stable"), bins)
    return float(sum(len(p) * abs(stated[p].mean() - real[p].mean()) for p in parts if len(p)) / len(stated))


def bootstrap(
    n: int, statistic: Callable[[npt.NDArray[np.intp]], float], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """A statistic of prompts, with the interval of its values over prompts drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n, n)) for _ in range(draws)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(statistic(np.arange(n)), float(low), float(high))
