"""Numbers of a report as text."""

from langchain_r2.evals.metrics import Estimate, cost_ratio, paired_difference
from langchain_r2.evals.rows import Method


def interval(estimate: Estimate, form: str) -> str:
    """A number with its interval."""
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def points(estimate: Estimate) -> str:
    """A difference of shares, in points."""
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def gap(method: Method, other: Method) -> str:
    """Difference in accuracy on the items that could be graded in both."""
    pairs = method.scores_with(other)
    return points(paired_difference(*pairs)) if pairs[0] else ""


def ratio_of(method: Method, other: Method, form: str) -> str:
    """Ratio of total costs with its interval; without it where the other cost nothing in some queries."""
    costs = method.costs_with(other)
    if costs is None:
        return "unknown"
    return interval(cost_ratio(*costs), form) if all(costs[1]) else "no ratio"


def usd_per_million(method: Method) -> str:
    """Cost of a million queries."""
    return "unknown" if method.usd_each is None else f"{method.usd_each * 1e6:.1f}"


def share_of(part: float | None, whole: float | None) -> str:
    """A share of a cost, where both are known."""
    return f"{part / whole:.0%}" if whole and part is not None else ""
