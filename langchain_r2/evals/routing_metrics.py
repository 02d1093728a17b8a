"""How well a score tells which queries need the large model: PGR, APGR and CPT.

Source: RouteLLM (arXiv 2406.18665), its eleven points too. They say little where the two models are less than ten
points apart.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

_POINTS: Final = 11


def pgr(accuracy: float, weak: float, strong: float) -> float | None:
    """Performance gap recovered: 0 as the weak model, 1 as the strong one; None where there is no gap."""
    return (accuracy - weak) / (strong - weak) if strong > weak else None


class Curve(NamedTuple):
    """What a router's score is worth."""

    apgr: float
    """Mean of PGR over the share of calls to the strong model, from 0 to 1; by chance it is 0.5."""
    cpt50: float
    """Least share of calls to the strong model with which half of the gap is recovered."""
    cpt80: float


def curve(small_wanted: Sequence[float], small: Sequence[float], large: Sequence[float]) -> Curve | None:
    """The curve of a score over items that both models really answered; None where there is no gap to recover.

    Args:
        small_wanted: The router's score of each item: the higher, the rather the small model.
        small: The small model's grades.
        large: The large one's.
    """
    n = len(small_wanted)
    if not n or sum(large) <= sum(small):
        return None
    order = sorted(range(n), key=lambda i: small_wanted[i])
    gained = [0.0, *accumulate(large[i] - small[i] for i in order)]
    recovered = [value / gained[-1] for value in gained]
    at = [recovered[round(n * part / (_POINTS - 1))] for part in range(_POINTS)]
    area = (sum(at) - (at[0] + at[-1]) / 2) / (_POINTS - 1)

    def least(target: float) -> float:
        return next((i for i, value in enumerate(recovered) if value >= target), n) / n

    return Curve(area, least(0.5), least(0.8))
