"""Cost against accuracy, and what single models reach when queries are shared out among them by chance."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langchain_r2.errors import BadValueError
from langchain_r2.evals.frontier import upper_hull
from langchain_r2.evals.metrics import Estimate, mean_score
from langchain_r2.plots.style import ACCENT, INK, LOOKS, MUTED, Look, panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROUTER: Final = "r2"
_SINGLE: Final = ("direct", "cot")
_FAMILIES: Final = (_ROUTER, *_SINGLE, "fixed", "oracle")
_MILLION: Final = 1e6


class Point(NamedTuple):
    """A method: what a query costs on average, and how often it is right."""

    method: str
    cost_usd: float
    accuracy: Estimate

    @property
    def family(self) -> str:
        """The first word of its name, ``cot`` of ``cot r2-max``; of what has no family, ``baseline``."""
        first = self.method.split(" ", 1)[0]
        return first if first in _FAMILIES else "baseline"


def points_of(records: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The methods of an evaluation's records; one with an unknown cost, or with nothing graded, is left out."""
    by_method: dict[str, list[Mapping[str, Any]]] = {}
    for row in records:
        by_method.setdefault(str(row.get("method", _ROUTER)), []).append(row)
    points = []
    for method, rows in by_method.items():
        scores = [s for row in rows if (s := (row.get("grade") or {}).get("score")) is not None]
        costs = [row["cost_usd"] for row in rows]
        if scores and all(cost is not None for cost in costs):
            points.append(Point(method, sum(costs) / len(costs), mean_score(scores)))
    return points


def mixing_line(points: Sequence[Point]) -> list[Point]:
    """The methods that no mixture of others beats, by cost: on the lines between them lie their mixtures.

    Who gives a share of the queries to one method and the rest to another, by chance, gets a point on the straight line
    between the two. So the upper convex hull is what can be had without looking at a query.
    """
    return [points[i] for i in upper_hull([(p.cost_usd, p.accuracy.value) for p in points])]


@styled
def draw_frontier(points: Sequence[Point], title: str = "") -> "Figure":
    """Draw it.

    Args:
        points: Methods; those whose name begins with ``r2`` are the router. The mixtures are of the single models,
            ``direct`` and ``cot``; without those, of all methods but the router and the oracle.
        title: Above the plot.

    Raises:
        BadValueError: There is no point.
        MissingExtraError: matplotlib is not installed.
    """
    if not points:
        raise BadValueError("records", "none with a grade and a known cost", "graded records of `langchain-r2 eval`")
    figure, (axes,) = panels(1, 1, width=8, height=5)
    single = [p for p in points if p.family in _SINGLE]
    label = "mixtures of single models" if single else "mixtures of methods"
    hull = mixing_line(single or [p for p in points if p.family not in {_ROUTER, "oracle"}])
    path = [(_MILLION * cost, 100 * share) for cost, share in _along(hull)]
    if len(path) > 1:
        axes.plot(*zip(*path, strict=True), color=MUTED, linestyle="--", linewidth=1.2, label=label)
    families = list(dict.fromkeys(p.family for p in points))
    others = iter(LOOKS * len(families))
    for family in families:
        look = Look(ACCENT, "*", "-") if family == _ROUTER else next(others)
        _draw_family(axes, [p for p in points if p.family == family], look, family)
    _label(axes, points, {p.method for p in hull})
    if min(p.cost_usd for p in points) > 0:
        axes.set_xscale("log")
    axes.set(xlabel="USD per million queries", ylabel="accuracy, % (bars: 95 % interval)")
    axes.set_title(title)
    axes.legend(loc="best", fontsize=8.5)
    return figure


def _along(hull: Sequence[Point], steps: int = 40) -> list[tuple[float, float]]:
    """Points along the hull, close enough that its lines are right on a logarithmic axis too."""
    path = [(p.cost_usd, p.accuracy.value) for p in hull[:1]]
    for (_, x0, y0), (_, x1, y1) in pairwise(hull):
        for step in range(1, steps + 1):
            part = (step / steps) ** 3  # closer together at the cheap end
            path.append((x0 + part * (x1 - x0), y0.value + part * (y1.value - y0.value)))
    return path


def _draw_family(axes: "Axes", points: Sequence[Point], look: Look, family: str) -> None:
    x = [_MILLION * p.cost_usd for p in points]
    y = [100 * p.accuracy.value for p in points]
    below = [max(0.0, 100 * (p.accuracy.value - p.accuracy.low)) for p in points]
    above = [max(0.0, 100 * (p.accuracy.high - p.accuracy.value)) for p in points]
    size = 13 if family == _ROUTER else 6.5
    axes.errorbar(
        x, y, yerr=[below, above], fmt=look.marker, color=look.color, markersize=size, markeredgecolor="white",
        markeredgewidth=0.8, elinewidth=0.9, ecolor=look.color, zorder=4 if family == _ROUTER else 3, label=family,
    )  # fmt: skip


def _label(axes: "Axes", points: Sequence[Point], named: set[str]) -> None:
    """Name the router's points and those on the line, where it does not hide another name."""
    taken: list[tuple[float, float]] = []
    wanted = [p for p in points if p.family in {_ROUTER, "baseline", "oracle"} or p.method in named]
    for point in sorted(wanted, key=lambda p: (p.family != _ROUTER, -p.accuracy.value)):
        x, y = _MILLION * point.cost_usd, 100 * point.accuracy.value
        if any(abs(y - b) < 3 and 0.5 < (x + 1e-12) / (a + 1e-12) < 2 for a, b in taken):
            continue
        taken.append((x, y))
        ours = point.family == _ROUTER
        axes.annotate(
            point.method, (x, y), xytext=(7, 5), textcoords="offset points", fontsize=8,
            color=ACCENT if ours else INK, fontweight="bold" if ours else "normal",
        )  # fmt: skip
