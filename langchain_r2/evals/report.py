"""The table of an evaluation, computed from its records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from langchain_r2.evals.metrics import Estimate, cost_ratio, paired_difference, proportion
from langchain_r2.types import ROUTER_ROLES

Rows = list[dict[str, Any]]

ABLATIONS: Final = {"upward": "r2 no upward", "downward": "r2 no downward", "replan": "r2 no replan"}


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Rows]]:
    """The facts of an evaluation, and its records by method, in the order of the items."""
    facts = json.loads((folder / "pool.json").read_text())
    by_method: dict[str, Rows] = {name: [] for name in facts["methods"]}
    with (folder / "records.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            by_method[row["method"]].append(row)
    return facts, {name: rows for name, rows in by_method.items() if rows}


def render(folder: Path, console: Console) -> None:
    """Print the table, then what reallocation did; write both as ``table.md``."""
    facts, by_method = read(folder)
    dearest = max(facts["prices"], key=lambda name: facts["prices"][name]["output"] or 0.0)
    reference = by_method.get(f"cot {dearest}")
    title = f"{facts['benchmark']} {facts['split']}, {facts['limit']} items, seed {facts['seed']}; 95 % intervals"
    table = Table(title=title)
    columns = (
        "method",
        "accuracy",
        "USD per million queries",
        f"cost / CoT {dearest}",
        "paired accuracy",
        "calls",
        "router",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "method" else "right")
    cells = [_cells(name, rows, reference) for name, rows in by_method.items()]
    for row in cells:
        table.add_row(*row)
    console.print(table)
    lines = [*reallocations(by_method), *verdicts(by_method, reference)] if "r2" in by_method else []
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    ruler = ["---" if column == "method" else "---:" for column in columns]
    rows_md = "\n".join(f"| {' | '.join(row)} |" for row in (columns, ruler, *cells))
    notes = "\n".join(f"- {line}" for line in lines)
    (folder / "table.md").write_text(f"{title}\n\n{rows_md}\n\n{notes}\n")


def reallocations(by_method: dict[str, Rows]) -> list[str]:
    """How often each kind of reallocation happened in ``r2``, and against running without it, what it changed."""
    lines = []
    for direction, ablation in ABLATIONS.items():
        rows = by_method["r2"]
        runs = sum(any(a["direction"] == direction and a["role"] == "executor" for a in r["attempts"]) for r in rows)
        count = sum(a["direction"] == direction and a["role"] == "executor" for r in rows for a in r["attempts"])
        line = f"{direction}: {count} calls in {runs} of {len(rows)} queries"
        if ablation in by_method:
            pairs = list(zip(_scores(rows), _scores(by_method[ablation]), strict=True))
            wrong, right = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            line += f"; without it, {wrong} more answers wrong, {right} more right"
            line += f", cost x {sum(_costs(by_method[ablation])) / sum(_costs(rows)):.2f}"
        lines.append(line)
    return lines


def verdicts(by_method: dict[str, Rows], reference: Rows | None) -> list[str]:
    """The comparisons that the goal is made of."""
    rows = by_method["r2"]
    lines = []
    if reference is not None:
        gap = paired_difference(_scores(rows), _scores(reference))
        ratio = cost_ratio(_costs(rows), _costs(reference))
        lines.append(f"r2 against the strongest CoT: accuracy {_points(gap)}, cost {_interval(ratio, '.2%')} of its")
    accuracy = sum(_scores(rows))
    for group in ("cot", "fixed"):
        equal = {n: r for n, r in by_method.items() if n.startswith(f"{group} ") and sum(_scores(r)) >= accuracy}
        best = min(equal, key=lambda n: sum(_costs(equal[n])), default=None)
        if best is None and any(n.startswith(f"{group} ") for n in by_method):
            lines.append(f"no {group} is as accurate as r2")
        elif best is not None:
            ratio = cost_ratio(_costs(rows), _costs(equal[best]))
            lines.append(
                f"cheapest {group} at least as accurate: {best}; r2 costs {_interval(ratio, '.2f')} times as much"
            )
    return lines


def _cells(name: str, rows: Rows, reference: Rows | None) -> Sequence[str]:
    costs = _costs(rows)
    router = sum(c or 0.0 for r in rows for role, c in r["cost_by_role"].items() if role in ROUTER_ROLES)
    total = sum(costs)
    compared = ("", "")
    if reference is not None:
        ratio, gap = cost_ratio(costs, _costs(reference)), paired_difference(_scores(rows), _scores(reference))
        compared = _interval(ratio, ".2%"), _points(gap)
    return (
        name,
        _interval(proportion([r["grade"]["score"] > 0 for r in rows]), ".1%"),
        f"{total / len(rows) * 1e6:.1f}",
        *compared,
        f"{sum(len(r['attempts']) for r in rows) / len(rows):.2f}",
        f"{router / total:.0%}" if total else "",
    )


def _scores(rows: Rows) -> list[float]:
    return [float(r["grade"]["score"]) for r in rows]


def _costs(rows: Rows) -> list[float]:
    return [r["cost_usd"] or 0.0 for r in rows]


def _interval(estimate: Estimate, form: str) -> str:
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
