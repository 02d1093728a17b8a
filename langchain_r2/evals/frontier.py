"""Cost against quality: what single methods reach when queries are shared out among them by chance.

Source: RouterBench (arXiv 2403.12031) for the hull ("zero router") and for AIQ. Difference: the hull begins at the
cheapest method, and AIQ is the mean height of the hull over the costs that are asked about.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Mix(NamedTuple):
    """Two places, and the share of queries that goes to the second one."""

    first: int
    second: int
    share: float


def upper_hull(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the (cost, quality) points that no mixture of others beats, by cost.

    Who gives a share of the queries to one method and the rest to another, by chance, gets a point on the straight line
    between the two. So the upper convex hull is what can be had without looking at a query.
    """
    hull: list[int] = []
    for place in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if hull and points[place][1] <= points[hull[-1]][1]:
            continue  # dearer, and no better
        while len(hull) > 1 and _slope(points[hull[-2]], points[hull[-1]]) <= _slope(points[hull[-2]], points[place]):
            hull.pop()
        hull.append(place)
    return hull


def mix_at(points: Sequence[tuple[float, float]], cost: float) -> Mix | None:
    """The best mixture that costs as much; beyond the dearest point that one alone; None below the cheapest one."""
    hull = upper_hull(points)
    if not hull or cost < points[hull[0]][0]:
        return None
    for low, high in pairwise(hull):
        if cost <= points[high][0]:
            return Mix(low, high, (cost - points[low][0]) / (points[high][0] - points[low][0]))
    return Mix(hull[-1], hull[-1], 0.0)


def aiq(points: Sequence[tuple[float, float]], low: float, high: float) -> float | None:
    """Mean quality of the hull over the costs from ``low`` to ``high``; 0 where nothing is so cheap."""
    if not points or not high > low:
        return None
    hull = [points[i] for i in upper_hull(points)]
    area = 0.0
    for (c0, q0), (c1, q1) in pairwise([*hull, (max(high, hull[-1][0]), hull[-1][1])]):
        start, end = max(c0, low), min(c1, high)
        if end > start:
            slope = (q1 - q0) / (c1 - c0)
            area += (end - start) * (q0 + slope * ((start + end) / 2 - c0))
    return area / (high - low)


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    run = b[0] - a[0]
    return (b[1] - a[1]) / run if run else float("inf")
