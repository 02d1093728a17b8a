"""From a signal to a probability: Platt scaling, and how well it does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_r2.errors import BadValueError


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Platt scaling of a signal: ``P(right) = 1 / (1 + exp(-(slope * signal + intercept)))``."""

    slope: float
    intercept: float
    signal: str | None = None
    """The signal that it was fitted on: it is used for no other. None: for whichever the confidence reads."""
    auroc: float | None = None
    """How well the signal told right from wrong on the data it was fitted on."""
    auroc_interval: tuple[float, float] | None = None
    """Its 95 % bootstrap interval."""
    weak: bool = False
    """Whether the signal is too weak to route on: then it counts as none, and the accuracy alone decides."""
    accuracy: float | None = None
    """Share of the items that the model got right."""
    ece: float | None = None
    """Expected calibration error on held-out data; from :func:`fit` alone, on the data it was fitted on."""
    threshold: float | None = None
    """Least confidence to accept; None: the one of the :class:`Confidence`."""
    precision: float | None = None
    """Share of right ones among the held-out items accepted at the threshold."""
    accepted: float | None = None
    """Share of the held-out items accepted at the threshold."""
    items: int = 0
    data_sha256: str = ""

    def __call__(self, signal: float) -> float:
        """The calibrated probability."""
        z = self.slope * max(signal, -1e6) + self.intercept
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def fit(signals: Sequence[float], right: Sequence[bool], *, steps: int = 200) -> Calibration:
    """Fit Platt scaling by Newton's method with the targets of Platt 1999, which keep it finite on separable data.

    Args:
        signals: One signal per item.
        right: Whether the item was answered right.
        steps: Most Newton steps.

    Raises:
        BadValueError: No items, or as many signals as labels are needed.
    """
    if not signals or len(signals) != len(right):
        raise BadValueError("items", (len(signals), len(right)), "as many signals as labels, at least one")
    positives = sum(right)
    high, low = (positives + 1) / (positives + 2), 1 / (len(right) - positives + 2)
    targets = [high if r else low for r in right]
    slope, intercept = 0.0, math.log(high / (1 - high)) if positives else 0.0
    for _ in range(steps):
        now = Calibration(slope=slope, intercept=intercept)
        gradient = [0.0, 0.0]
        hessian = [1e-9, 0.0, 1e-9]
        for x, target in zip(signals, targets, strict=True):
            p = now(x)
            weight = p * (1 - p)
            gradient[0] += (p - target) * x
            gradient[1] += p - target
            hessian[0] += weight * x * x
            hessian[1] += weight * x
            hessian[2] += weight
        determinant = hessian[0] * hessian[2] - hessian[1] ** 2
        if abs(determinant) < 1e-12:
            break
        move = (
            (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
            (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
        )
        size = max(abs(move[0]), abs(move[1]))
        damping = min(1.0, 2.0 / size) if size else 1.0
        slope, intercept = slope - damping * move[0], intercept - damping * move[1]
        if size < 1e-6:
            break
    if slope < 0:  # the signal says the opposite of what it should: it is worth no more than the base rate
        slope, intercept = 0.0, math.log(max(positives, 0.5) / max(len(right) - positives, 0.5))
    fitted = Calibration(slope=slope, intercept=intercept)
    return Calibration(
        slope=fitted.slope,
        intercept=fitted.intercept,
        auroc=auroc(signals, right),
        ece=expected_calibration_error([fitted(x) for x in signals], right),
        items=len(right),
    )


def auroc(signals: Sequence[float], right: Sequence[bool]) -> float | None:
    """Chance that a right item has a higher signal than a wrong one, ties half; None without both kinds."""
    ranked = sorted(zip(signals, right, strict=True), key=lambda pair: pair[0])
    positives = sum(right)
    negatives = len(right) - positives
    if not positives or not negatives:
        return None
    ranks, start = 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        ranks += sum(r for _, r in ranked[start:end]) * (start + 1 + end) / 2
        start = end
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def expected_calibration_error(probabilities: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Mean distance of stated probability and accuracy over equal-width bins, weighted by size."""
    cells: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for p, r in zip(probabilities, right, strict=True):
        cells[min(bins - 1, int(p * bins))].append((p, r))
    total = sum(abs(sum(p for p, _ in cell) - sum(r for _, r in cell)) for cell in cells if cell)
    return total / len(right)
