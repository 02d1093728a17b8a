"""Tables about cost and quality together: routers' scores, the frontier, mixtures by chance at equal cost."""

from collections.abc import Mapping
from typing import Any

from langchain_r2.evals.cells import gap, points, ratio_of
from langchain_r2.evals.frontier import aiq, mix_at
from langchain_r2.evals.metrics import above_mix
from langchain_r2.evals.routing_metrics import curve
from langchain_r2.evals.rows import Method
from langchain_r2.evals.sheets import Sheet

Methods = Mapping[str, Method]


def score_sheet(methods: Methods) -> Sheet | None:
    """APGR and CPT of routers that choose between two models by a score, from what both really answered."""
    rows: list[tuple[str, ...]] = []
    for name, method in methods.items():
        scored = [row for row in method.rows if row.facts.get("score") is not None]
        if not scored or len(scored) < len(method):
            continue
        small, large = (str(scored[0].facts[key]) for key in ("small", "large"))
        both = methods.get(f"cot {small}"), methods.get(f"cot {large}")
        if both[0] is None or both[1] is None:
            rows.append((name, small, large, "needs both really run: --methods cot", "", ""))
            continue
        wanted, low, high = [], [], []
        for row in scored:
            first, second = both[0].get(row.id), both[1].get(row.id)
            if first and second and first.score is not None and second.score is not None:
                wanted.append(float(row.facts["score"]))
                low.append(first.score)
                high.append(second.score)
        found = curve(wanted, low, high)
        told = ("no gap to recover", "", "") if found is None else tuple(f"{value:.3f}" for value in found)
        rows.append((name, small, large, *told))
    note = (
        "APGR: area under PGR over the share of calls to the large model; by chance 0.5. CPT: least share of them that "
        "recovers 50 or 80 % of the gap. They say little where the two are less than ten points apart."
    )
    columns = ("method", "small", "large", "APGR", "CPT(50)", "CPT(80)")
    return Sheet("Routers by a score", columns, rows, (note,)) if rows else None


def frontier_sheet(methods: Methods) -> Sheet | None:
    """Against mixtures by chance of single models at the same cost; and what a method adds to their frontier."""
    single = [m for name, m in methods.items() if name.split(" ")[0] in {"direct", "cot"} and _place(m)]
    known = [place for m in single if (place := _place(m)) is not None]
    if not known:
        return None
    low, high = min(cost for cost, _ in known), max(cost for cost, _ in known)
    base = aiq(known, low, high)
    rows = []
    for name, method in methods.items():
        own = _place(method)
        if method in single or own is None:
            continue
        with_it = aiq([*known, own], low, high)
        lift = "" if base is None or with_it is None else f"{with_it:.4f} ({with_it - base:+.4f})"
        rows.append((name, *_mixed(method, own, single, known), lift))
    told = "" if base is None else f"AIQ of single models alone, direct and CoT: {base:.4f}. "
    note = (
        f"{told}AIQ: mean accuracy of the frontier with its mixtures, from {low * 1e6:.1f} to {high * 1e6:.1f} USD per "
        "million queries. A mixture gives a share of the queries to one model and the rest to another, by chance."
    )
    columns = ("method", "mixture of equal cost", "its accuracy", "method minus mixture", "AIQ with the method")
    return Sheet("Against mixtures of single models at equal cost", columns, rows, (note,)) if rows else None


def pairs_sheet(methods: Methods) -> Sheet | None:
    """``r2`` against every other method on the same items."""
    if "r2" not in methods or len(methods) < 2:
        return None
    r2 = methods["r2"]
    rows = [(name, gap(r2, m), ratio_of(r2, m, ".3g")) for name, m in methods.items() if m is not r2]
    columns = ("r2 against", "accuracy, points", "cost, times")
    notes = ("Differences and ratios over the same items, with a bootstrap over items (2,000 draws).",)
    return Sheet("r2 against each method", columns, rows, notes)


def sheets_of_cost(facts: Mapping[str, Any], methods: Methods) -> list[Sheet]:
    """All of them that there is something to say in."""
    del facts
    return [sheet for sheet in (frontier_sheet(methods), score_sheet(methods), pairs_sheet(methods)) if sheet]


def _place(method: Method) -> tuple[float, float] | None:
    """Cost of a query and accuracy; None where one is unknown."""
    if method.usd_each is None or method.accuracy is None:
        return None
    return method.usd_each, method.accuracy


def _mixed(
    method: Method, own: tuple[float, float], single: list[Method], known: list[tuple[float, float]]
) -> tuple[str, str, str]:
    mix = mix_at(known, own[0])
    if mix is None:
        return "none is so cheap", "", ""
    first, second = single[mix.first], single[mix.second]
    accuracy = (1 - mix.share) * known[mix.first][1] + mix.share * known[mix.second][1]
    said = first.name if first is second else f"{1 - mix.share:.0%} {first.name}, {mix.share:.0%} {second.name}"
    series = method.paired(first, second)
    return said, f"{accuracy:.1%}", "" if series is None else points(above_mix(*series))
