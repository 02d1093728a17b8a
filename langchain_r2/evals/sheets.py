"""The tables of a report, each made of the rows alone; text, Markdown and HTML show the same ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_r2.evals import findings
from langchain_r2.evals.cells import gap, interval, points, ratio_of, share_of, usd_per_million
from langchain_r2.evals.metrics import mean_score, paired_difference
from langchain_r2.evals.reading import HUB
from langchain_r2.evals.routing_metrics import pgr
from langchain_r2.evals.rows import Method


class Sheet(NamedTuple):
    """One table, with what is to be said below it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


Methods = Mapping[str, Method]


def strongest_of(facts: Mapping[str, Any]) -> str:
    """The pool's strongest model."""
    return str(facts.get("strongest") or list(facts["prices"])[-1])


def title_of(facts: Mapping[str, Any]) -> str:
    """What was run."""
    where = facts["split"]
    if data := facts.get("data"):
        where = f"{data} {where}" if data.startswith(HUB) else Path(data).name
        where += f" (sha256 {facts['data_sha256'][:12]})" if facts.get("data_sha256") else ""
    drawn = "the first ones" if facts.get("first") else f"seed {facts['seed']}"
    count = facts.get("items", facts["limit"])
    grader = f", graded by {facts['grader']}" if facts.get("grader") else ""
    return f"{facts['benchmark']}, {where}, {count} items, {drawn}{grader}; 95 % intervals"


def method_sheet(facts: Mapping[str, Any], methods: Methods) -> Sheet:
    """Every method: accuracy and cost, against the strongest model working step by step."""
    strongest = strongest_of(facts)
    reference = methods.get(f"cot {strongest}")
    measures = sorted({name for m in methods.values() for row in m.rows for name in row.measures})
    ungraded = any(row.score is None for m in methods.values() for row in m.rows)
    extra = (*measures, *(("ungradable",) if ungraded else ()))
    fixed = ("accuracy", "USD per million queries", f"cost / CoT {strongest}", "paired accuracy", "calls", "router")
    rows = []
    for name, method in methods.items():
        compared = ("", "")
        if reference is not None:
            compared = ratio_of(method, reference, ".2%"), gap(method, reference)
        more = [_measure(measure, method) for measure in measures]
        if ungraded:
            more.append(str(sum(row.score is None for row in method.rows)))
        cells = (
            interval(mean_score(method.scores), ".1%") if method.scores else "",
            usd_per_million(method),
            *compared,
            f"{sum(row.calls for row in method.rows) / len(method):.2f}",
            share_of(method.router_usd, method.usd),
        )
        rows.append((name, *cells, *more))
    notes = (*findings.left_out(facts), *findings.grading(methods))
    if "r2" in methods:
        notes += (*findings.reallocations(methods), *findings.verdicts(methods, reference))
    return Sheet("Methods", ("method", *fixed, *extra), rows, notes)


def effort_sheet(facts: Mapping[str, Any], methods: Methods) -> Sheet:
    """Time, tokens, cost per right answer, and what of the gap between weakest and strongest is recovered."""
    strongest, weakest = strongest_of(facts), next(iter(facts["prices"]))
    direct, cot, weak = (methods.get(n) for n in (f"direct {strongest}", f"cot {strongest}", f"cot {weakest}"))
    columns = (
        "method", "C_time, s", f"time / CoT {strongest}", "tokens", f"cost / direct {strongest}",
        f"cost / CoT {strongest}", "USD per million right", "PGR", "calls failed",
    )  # fmt: skip
    rows = []
    for name, method in methods.items():
        seconds = sum(row.path_s for row in method.rows) / len(method)
        own = sum(row.path_s for row in cot.rows) / len(cot) if cot else 0.0
        right = sum(method.scores)
        recovered = None
        if cot and weak and method.accuracy is not None:
            recovered = pgr(method.accuracy, weak.accuracy or 0.0, cot.accuracy or 0.0)
        rows.append(
            (
                name,
                f"{seconds:.3f}",
                f"{seconds / own:.2f}" if own else "",
                f"{sum(row.tokens for row in method.rows) / len(method):.0f}",
                "" if direct is None else ratio_of(method, direct, ".3g"),
                "" if cot is None else ratio_of(method, cot, ".3g"),
                "unknown" if method.usd is None else f"{method.usd / right * 1e6:.1f}" if right else "none right",
                "" if recovered is None else f"{recovered:.3f}",
                str(sum(row.failed for row in method.rows)),
            )
        )
    notes = (
        "C_time: seconds of a run's calls on its longest path, as each took when it was really made, many at a time.",
        f"PGR: 0 as CoT {weakest}, 1 as CoT {strongest}. Ratios are to runs really made on the same items.",
    )
    return Sheet("Effort", columns, rows, notes)


def use_sheet(methods: Methods) -> Sheet:
    """Calls and tokens by model and role, of the methods that use several."""
    rows = []
    for name, method in methods.items():
        if name.split(" ")[0] in {"direct", "cot", "fixed"} or name == "oracle, router free":
            continue
        total = findings.use_of(method)
        for (model, role), use in sorted(total.items(), key=lambda pair: -(pair[1].cost_usd or 0.0)):
            n = len(method)
            counts = (f"{use.calls / n:.2f}", f"{use.input_tokens / n:.1f}", f"{use.output_tokens / n:.1f}")
            rows.append((name, model, role, *counts, share_of(use.cost_usd, method.usd)))
    columns = ("method", "model", "role", "calls", "tokens read", "tokens written", "share of cost")
    return Sheet("Calls and tokens per query, by model and role", columns, rows)


def contingency_sheet(facts: Mapping[str, Any], methods: Methods) -> Sheet | None:
    """Item by item against the strongest model: both right, one of them, neither."""
    reference = methods.get(f"cot {strongest_of(facts)}")
    if reference is None:
        return None
    rows = []
    for name, method in methods.items():
        pairs = list(zip(*method.scores_with(reference), strict=True))
        if method is reference or not pairs:
            continue
        cells = [(a >= 1, b >= 1) for a, b in pairs]
        counts = [cells.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))]
        rows.append((name, *map(str, counts), points(paired_difference(*zip(*pairs, strict=True)))))
    columns = ("method", "both right", "only the method", f"only {reference.name}", "neither", "difference, points")
    return Sheet(f"Against {reference.name}, item by item", columns, rows)


def tuning_sheet(facts: Mapping[str, Any]) -> Sheet | None:
    """What was chosen for baselines on validation items, and what the pool cannot do."""
    settings, absent = facts.get("settings", {}), facts.get("not_applicable", {})
    if not settings and not absent:
        return None
    rows = [(name, ", ".join(f"{k} {_short(v)}" for k, v in chosen.items())) for name, chosen in settings.items()]
    rows += [(name, f"not applicable: {why}") for name, why in absent.items()]
    chosen_on = (facts.get("config") or {}).get("validation") or {}
    note = f"Chosen on {chosen_on['items']} items of {chosen_on['split']}, none of them tested on." if chosen_on else ""
    return Sheet("Settings of methods", ("method", "settings"), rows, (note,) if note else ())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(_short, value)) if isinstance(value, list) else str(value)


def _measure(name: str, method: Method) -> str:
    values = [row.measures[name] for row in method.rows if name in row.measures]
    return f"{sum(values) / len(values):.3f}" if values else ""
