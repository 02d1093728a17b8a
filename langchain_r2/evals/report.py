"""The table of an evaluation, computed from its records."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from langchain_r2.evals.folder import iter_rows, read_facts
from langchain_r2.evals.metrics import Estimate, cost_ratio, mean_score, paired_difference
from langchain_r2.evals.reading import HUB
from langchain_r2.types import ROUTER_ROLES

Rows = list[dict[str, Any]]

ABLATIONS: Final = {"upward": "r2 no upward", "downward": "r2 no downward", "replan": "r2 no replan"}


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Rows]]:
    """The facts of an evaluation, and its records by method, in the order of the items."""
    facts = read_facts(folder)
    place = {id_: number for number, id_ in enumerate(facts.get("ids", []))}
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in facts["methods"]}
    for row in iter_rows(folder):
        found.setdefault(row["method"], {}).setdefault(row["id"], row)
    return facts, {
        name: sorted(rows.values(), key=lambda row: place.get(row["id"], 0)) for name, rows in found.items() if rows
    }


def render(folder: Path, console: Console) -> None:
    """Print the table, then what reallocation did; write both as ``table.md``."""
    facts, by_method = read(folder)
    strongest = list(facts["prices"])[-1]  # the pool's order
    reference = by_method.get(f"cot {strongest}")
    title = _title(facts)
    table = Table(title=title)
    optional = _optional(by_method)
    cells = [
        (name, *_cells(rows, reference), *(cell(rows) for cell in optional.values()))
        for name, rows in by_method.items()
    ]
    fixed = ("accuracy", "USD per million queries", f"cost / CoT {strongest}", "paired accuracy", "calls", "router")
    columns = ("method", *fixed, *optional)
    for column in columns:
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in cells:
        table.add_row(*row)
    console.print(table)
    lines = [*_left_out(facts), *_grading(by_method)]
    lines += [*reallocations(by_method), *verdicts(by_method, reference)] if "r2" in by_method else []
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    ruler = ["---" if column == "method" else "---:" for column in columns]
    rows_md = "\n".join(f"| {' | '.join(row)} |" for row in (columns, ruler, *cells))
    notes = "\n".join(f"- {line}" for line in lines)
    (folder / "table.md").write_text(f"{title}\n\n{rows_md}\n\n{notes}\n", encoding="utf-8")


def reallocations(by_method: dict[str, Rows]) -> list[str]:
    """How often each kind of reallocation happened in ``r2``, and against running without it, what it changed."""
    lines = []
    for direction, ablation in ABLATIONS.items():
        rows = by_method["r2"]
        runs = sum(any(a["direction"] == direction and a["role"] == "executor" for a in r["attempts"]) for r in rows)
        count = sum(a["direction"] == direction and a["role"] == "executor" for r in rows for a in r["attempts"])
        line = f"{direction}: {count} calls in {runs} of {len(rows)} queries"
        if ablation in by_method:
            pairs = list(zip(*_paired(rows, by_method[ablation]), strict=True))
            wrong, right = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            line += f"; without it, {wrong} more answers wrong, {right} more right"
            line += f", cost x {_ratio(by_method[ablation], rows)}"
        lines.append(line)
    return lines


def verdicts(by_method: dict[str, Rows], reference: Rows | None) -> list[str]:
    """The comparisons that the goal is made of."""
    rows = by_method["r2"]
    lines = []
    if reference is not None:
        lines.append(
            f"r2 against the strongest CoT: accuracy {_gap(rows, reference)}, "
            f"cost {_cost_ratio(rows, reference, '.2%')} of its"
        )
    for group in ("cot", "fixed"):
        named = {n: r for n, r in by_method.items() if n.startswith(f"{group} ")}
        equal = {n: r for n, r in named.items() if _at_least(r, rows) and _total(r) is not None}
        best = min(equal, key=lambda n: _total(equal[n]) or 0.0, default=None)
        if best is not None:
            times = _cost_ratio(rows, equal[best], ".2f")
            lines.append(f"cheapest {group} at least as accurate: {best}; r2 costs {times} times as much")
        elif named:
            lines.append(f"no {group} of known cost is as accurate as r2")
    return lines


def _title(facts: dict[str, Any]) -> str:
    where = facts["split"]
    if data := facts.get("data"):
        where = f"{data} {where}" if data.startswith(HUB) else Path(data).name
        where += f" (sha256 {facts['data_sha256'][:12]})" if facts.get("data_sha256") else ""
    drawn = "the first ones" if facts.get("first") else f"seed {facts['seed']}"
    count = facts.get("items", facts["limit"])
    grader = f", graded by {facts['grader']}" if facts.get("grader") else ""
    return f"{facts['benchmark']}, {where}, {count} items, {drawn}{grader}; 95 % intervals"


def _left_out(facts: dict[str, Any]) -> list[str]:
    """What is not in the table, or not whole."""
    lines = [f"{name}: not applicable: {why}" for name, why in facts.get("not_applicable", {}).items()]
    return lines + [f"{name}: {count} items missing" for name, count in facts.get("missing", {}).items()]


def _optional(by_method: dict[str, Rows]) -> dict[str, Callable[[Rows], str]]:
    """Columns that only some evaluations need: further measures, and what could not be graded."""
    rows = [row for rows in by_method.values() for row in rows]
    names = sorted({name for row in rows for name in row["grade"].get("measures", {})})
    columns: dict[str, Callable[[Rows], str]] = {name: partial(_measure, name) for name in names}
    if any(row["grade"]["score"] is None for row in rows):
        columns["ungradable"] = lambda rows: str(sum(row["grade"]["score"] is None for row in rows))
    return columns


def _measure(name: str, rows: Rows) -> str:
    values = [row["grade"]["measures"][name] for row in rows if name in row["grade"]["measures"]]
    return f"{sum(values) / len(values):.3f}" if values else ""


def _grading(by_method: dict[str, Rows]) -> list[str]:
    """What could not be graded, and what grading took."""
    rows = [row for rows in by_method.values() for row in rows]
    reasons = Counter(row["grade"].get("reason", "") for row in rows if row["grade"]["score"] is None)
    lines = []
    if reasons:
        said = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        lines.append(f"ungradable, and in no accuracy: {reasons.total()} of {len(rows)} answers: {said}")
    costs = [row["grade"].get("cost_usd", 0.0) for row in rows]
    if any(cost != 0.0 for cost in costs):
        total = None if None in costs else sum(costs)
        lines.append(f"grading cost {'an unknown sum' if total is None else f'{total:.6f} USD'}, in no method's cost")
    return lines


def _cells(rows: Rows, reference: Rows | None) -> Sequence[str]:
    total = _total(rows)
    by_role = [(role, cost) for r in rows for role, cost in r["cost_by_role"].items() if role in ROUTER_ROLES]
    router = None if any(cost is None for _, cost in by_role) else sum(cost for _, cost in by_role)
    compared = ("", "")
    if reference is not None:
        compared = _cost_ratio(rows, reference, ".2%"), _gap(rows, reference)
    scores = [s for s in _scores(rows) if s is not None]
    return (
        _interval(mean_score(scores), ".1%") if scores else "",
        "unknown" if total is None else f"{total / len(rows) * 1e6:.1f}",
        *compared,
        f"{sum(len(r['attempts']) for r in rows) / len(rows):.2f}",
        f"{router / total:.0%}" if total and router is not None else "",
    )


def _scores(rows: Rows) -> list[float | None]:
    return [row["grade"]["score"] for row in rows]


def _paired(rows: Rows, others: Rows) -> tuple[list[float], list[float]]:
    """Scores of the items that could be graded in both."""
    other = {row["id"]: row["grade"]["score"] for row in others}
    pairs = [(row["grade"]["score"], other.get(row["id"])) for row in rows]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return [a for a, _ in known], [b for _, b in known]


def _at_least(rows: Rows, others: Rows) -> bool:
    """Whether a method is as accurate as another on what could be graded in both."""
    own, other = _paired(rows, others)
    return sum(own) >= sum(other)


def _gap(rows: Rows, others: Rows) -> str:
    pairs = _paired(rows, others)
    return _points(paired_difference(*pairs)) if pairs[0] else ""


def _costs(rows: Rows) -> list[float] | None:
    """Costs of the queries; None where one is unknown: nothing can be said of their sum."""
    costs = [row["cost_usd"] for row in rows]
    return None if None in costs else costs


def _total(rows: Rows) -> float | None:
    costs = _costs(rows)
    return None if costs is None else sum(costs)


def _cost_ratio(rows: Rows, others: Rows, form: str) -> str:
    """Ratio of total costs with its interval; without it where the other cost nothing in some queries."""
    ids = {row["id"] for row in rows} & {row["id"] for row in others}
    own, other = (_costs([row for row in part if row["id"] in ids]) for part in (rows, others))
    if own is None or other is None or not ids:
        return "unknown"
    return _interval(cost_ratio(own, other), form) if all(other) else "no ratio"


def _ratio(rows: Rows, others: Rows) -> str:
    own, other = _total(rows), _total(others)
    return "unknown" if own is None or not other else f"{own / other:.2f}"


def _interval(estimate: Estimate, form: str) -> str:
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
