"""What a calibration is worth: held-out probabilities, AUROC with its interval, the threshold for a precision."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from langchain_r2.confidence.calibration import Calibration, auroc, expected_calibration_error, fit
from langchain_r2.errors import BadValueError

FOLDS: Final = 5
LEAST_OF_EACH: Final = 5
"""Right and wrong answers that are needed to say anything about a signal: one of each per fold."""
DRAWS: Final = 1000
"""Of the bootstrap."""


class Cut(NamedTuple):
    """A threshold, and what it does on held-out items."""

    threshold: float
    precision: float | None
    """None where nothing is accepted."""
    accepted: float
    reached: bool
    """Whether items showed the target precision; else the threshold is the target, on the calibration's word."""


def calibrated(
    signals: Sequence[float | None], right: Sequence[bool], *, signal: str, target: float, seed: int = 0
) -> Calibration:
    """Fit a calibration and measure it on items that it was not fitted on.

    The signal is too weak to route on where its AUROC interval touches 0.5, or where there is none. With fewer than
    :data:`LEAST_OF_EACH` right or wrong answers nothing can be measured (the interval is then None): the fit is used,
    which stays close to the model's accuracy, without a threshold of its own.

    Args:
        signals: One per item; None where the reply had none.
        right: Whether the item was answered right.
        signal: The signal's name.
        target: Precision that accepted answers should have.
        seed: Of the folds and the bootstrap.

    Raises:
        BadValueError: No items, or as many signals as labels are needed, or the target is no share.
    """
    if not right or len(signals) != len(right):
        raise BadValueError("items", (len(signals), len(right)), "as many signals as labels, at least one")
    if not 0 < target < 1:
        raise BadValueError("target precision", target, "a number between 0 and 1")
    accuracy = sum(right) / len(right)
    pairs = [(s, r) for s, r in zip(signals, right, strict=True) if s is not None]
    values, labels = [s for s, _ in pairs], [r for _, r in pairs]
    if not values:
        odds = (sum(right) + 0.5) / (len(right) - sum(right) + 0.5)
        return Calibration(slope=0.0, intercept=math.log(odds), signal=signal, weak=True, accuracy=accuracy)
    if min(sum(labels), len(labels) - sum(labels)) < LEAST_OF_EACH:
        return replace(fit(values, labels), signal=signal, accuracy=accuracy, auroc=None, ece=None)
    held_out = held_out_probabilities(values, labels, seed=seed)
    low, high = auroc_interval(values, labels, seed=seed)
    cut = threshold_for(held_out, labels, target)
    return replace(
        fit(values, labels),
        signal=signal,
        auroc_interval=(low, high),
        weak=low <= 0.5,
        accuracy=accuracy,
        ece=expected_calibration_error(held_out, labels),
        threshold=cut.threshold,
        precision=cut.precision,
        accepted=cut.accepted,
    )


def held_out_probabilities(signals: Sequence[float], right: Sequence[bool], *, seed: int = 0) -> list[float]:
    """Each item's probability from a fit on the other folds, of which each has its share of right and wrong items."""
    rng = random.Random(seed)  # noqa: S311 - folds
    fold_of = [0] * len(right)
    for label in (True, False):
        members = [i for i, r in enumerate(right) if r is label]
        rng.shuffle(members)
        for place, i in enumerate(members):
            fold_of[i] = place % FOLDS
    probabilities = [0.0] * len(right)
    for fold in set(fold_of):
        rest = [i for i, f in enumerate(fold_of) if f != fold]
        if not rest:
            raise BadValueError("items", len(right), "at least two of one kind, so that some can be held out")
        fitted = fit([signals[i] for i in rest], [right[i] for i in rest])
        for i, f in enumerate(fold_of):
            if f == fold:
                probabilities[i] = fitted(signals[i])
    return probabilities


def auroc_interval(
    signals: Sequence[float], right: Sequence[bool], *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the AUROC; right and wrong items are resampled apart, so that both stay.

    Raises:
        BadValueError: All items are right, or all wrong.
    """
    good = [s for s, r in zip(signals, right, strict=True) if r]
    bad = [s for s, r in zip(signals, right, strict=True) if not r]
    if not good or not bad:
        raise BadValueError("items", "of one kind only", "right and wrong ones")
    rng = random.Random(seed)  # noqa: S311 - resampling
    labels = [True] * len(good) + [False] * len(bad)
    values = sorted(
        auroc([*rng.choices(good, k=len(good)), *rng.choices(bad, k=len(bad))], labels) or 0.0 for _ in range(draws)
    )
    return values[int(0.025 * draws)], values[min(draws - 1, int(0.975 * draws))]


def threshold_for(probabilities: Sequence[float], right: Sequence[bool], target: float) -> Cut:
    """The lowest threshold at which accepted items show the target precision.

    So that a lucky few do not count as proof, the precision of n items with k right is taken as (k + 1) / (n + 2), its
    mean under a uniform prior (Laplace): 95 % takes 18 items, all right. Where no threshold shows the target, the
    target itself is the threshold: a calibrated probability promises it.
    """
    ranked = sorted(zip(probabilities, right, strict=True), reverse=True)
    best: float | None = None
    hits = 0
    for count, (p, r) in enumerate(ranked, 1):
        hits += r
        last_of_ties = count == len(ranked) or ranked[count][0] < p
        if last_of_ties and (hits + 1) / (count + 2) >= target:
            best = p
    threshold = target if best is None else best
    taken = [r for p, r in ranked if p >= threshold]
    return Cut(threshold, sum(taken) / len(taken) if taken else None, len(taken) / len(ranked), best is not None)
