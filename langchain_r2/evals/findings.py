"""Sentences of a report: what is left out, what reallocation did, the comparisons that the goal is made of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_r2.evals.cells import gap, ratio_of
from langchain_r2.evals.rows import Method, Use

ABLATIONS: Final = {"upward": "r2 no upward", "downward": "r2 no downward", "replan": "r2 no replan"}

Methods = Mapping[str, Method]


def left_out(facts: Mapping[str, Any]) -> list[str]:
    """What is not in the table, or not whole."""
    lines = [f"{name}: not applicable: {why}" for name, why in facts.get("not_applicable", {}).items()]
    return lines + [f"{name}: {count} items missing" for name, count in facts.get("missing", {}).items()]


def grading(methods: Methods) -> list[str]:
    """What could not be graded, and what grading took."""
    rows = [row for method in methods.values() for row in method.rows if method.name != "oracle, router free"]
    reasons = Counter(row.reason for row in rows if row.score is None)
    lines = []
    if reasons:
        said = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        lines.append(f"ungradable, and in no accuracy: {reasons.total()} of {len(rows)} answers: {said}")
    costs = [row.grading_usd for row in rows]
    if any(cost != 0.0 for cost in costs):
        known = [cost for cost in costs if cost is not None]
        told = f"{sum(known):.6f} USD" if len(known) == len(costs) else "an unknown sum"
        lines.append(f"grading cost {told}, in no method's cost")
    return lines


def reallocations(methods: Methods) -> list[str]:
    """How often each kind of reallocation happened in ``r2``, and against running without it, what it changed."""
    lines, rows = [], methods["r2"].rows
    for direction, ablation in ABLATIONS.items():
        runs, count = (
            sum(row.moves.get(direction, 0) > 0 for row in rows),
            sum(row.moves.get(direction, 0) for row in rows),
        )
        line = f"{direction}: {count} calls in {runs} of {len(rows)} queries"
        if ablation in methods:
            pairs = list(zip(*methods["r2"].scores_with(methods[ablation]), strict=True))
            wrong, right = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            line += f"; without it, {wrong} more answers wrong, {right} more right"
            own, other = methods[ablation].usd, methods["r2"].usd
            line += f", cost x {'unknown' if own is None or not other else f'{own / other:.2f}'}"
        lines.append(line)
    return lines


def verdicts(methods: Methods, reference: Method | None) -> list[str]:
    """The comparisons that the goal is made of."""
    r2, lines = methods["r2"], []
    if reference is not None:
        told = f"accuracy {gap(r2, reference)}, cost {ratio_of(r2, reference, '.2%')} of its"
        lines.append(f"r2 against the strongest CoT: {told}")
    for group in ("direct", "cot", "fixed"):
        named = [m for name, m in methods.items() if name.startswith(f"{group} ")]
        best = cheapest_as_accurate(named, r2)
        if best is not None:
            times = ratio_of(r2, best, ".2f")
            lines.append(f"cheapest {group} at least as accurate: {best.name}; r2 costs {times} times as much")
        elif named:
            lines.append(f"no {group} of known cost is as accurate as r2")
    if (oracle := methods.get("oracle")) is not None:
        kinds = Counter(row.facts.get("search") for row in oracle.rows)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        lines.append(f"oracle: {told}; r2 costs {ratio_of(r2, oracle, '.2f')} times as much")
    return lines


def cheapest_as_accurate(methods: Iterable[Method], other: Method) -> Method | None:
    """The cheapest method that is at least as accurate as another, on what could be graded in both."""
    equal = [m for m in methods if _at_least(m, other) and m.usd is not None]
    return min(equal, key=lambda m: m.usd or 0.0, default=None)


def use_of(method: Method) -> dict[tuple[str, str], Use]:
    """Calls by model and role, over all items."""
    total: dict[tuple[str, str], Use] = {}
    for row in method.rows:
        for key, use in row.use.items():
            total.setdefault(key, Use()).add(use)
    return total


def _at_least(method: Method, other: Method) -> bool:
    """Whether a method is as accurate as another on what could be graded in both."""
    own, others = method.scores_with(other)
    return sum(own) >= sum(others)
