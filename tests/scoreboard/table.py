"""The table: computed from outcomes as JSON lines, printed or put into a document."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measure import machine
from tests.scoreboard.row import OURS, STOCK, Outcome, Row

_HEAD: Final = ("id", "what", "N", "passed", "criterion", "stock ChatOpenAI", "s")
_MARKS: Final = ("<!-- scoreboard: written by python -m tests.scoreboard --markdown -->", "<!-- end of scoreboard -->")

Line = Mapping[str, Any]
"""One JSON line: an outcome with its column, or the first line with date and machine."""


def head() -> dict[str, Any]:
    """The first line: when and where."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"date": now, **machine()}


def line(outcome: Outcome, column: str, wall_s: float) -> dict[str, Any]:
    """An outcome as a JSON line; ``wall_s`` is the time since the one before."""
    return {
        "row": outcome.row,
        "column": column,
        "scenario": outcome.scenario,
        "passed": outcome.passed,
        "wall_s": round(wall_s, 3),
        "details": outcome.details,
    }


def cells(lines: Iterable[Line], rows: Mapping[str, Row]) -> list[list[str]]:
    """One list of cells per row that has outcomes."""
    by_row: dict[str, list[Line]] = {}
    for found in lines:
        if "row" in found:
            by_row.setdefault(found["row"], []).append(found)
    table = []
    for id_, row in rows.items():
        if id_ not in by_row:
            continue
        ours = [found for found in by_row[id_] if found["column"] == OURS]
        stock = [found for found in by_row[id_] if found["column"] == STOCK]
        seconds = sum(found["wall_s"] for found in ours)
        numbers = str(len(ours)), _share(ours)
        table.append([id_, row.title, *numbers, row.criterion, _of(stock) if stock else "-", f"{seconds:.0f}"])
    return table


def _share(lines: Sequence[Line]) -> str:
    passed = sum(bool(found["passed"]) for found in lines)
    # Rounded down: 100 % means all.
    return f"{passed} ({1000 * passed // len(lines) / 10:g} %)" if lines else "0"


def _of(lines: Sequence[Line]) -> str:
    return f"{sum(bool(found['passed']) for found in lines)} of {len(lines)}"


def text(table: Sequence[Sequence[str]]) -> str:
    """For a terminal, without the criterion, which is long."""
    shown = [[c for n, c in enumerate(row) if n != 4] for row in (_HEAD, *table)]
    widths = [max(len(row[n]) for row in shown) for n in range(len(shown[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in shown)


def markdown(lines: Sequence[Line], rows: Mapping[str, Row]) -> str:
    """For a document: date and machine, the table, and what failed."""
    first = next((found for found in lines if "row" not in found), {})
    told = " · ".join(f"{key} {value}" for key, value in first.items())
    body = [[c.replace("|", "\\|") for c in row] for row in cells(lines, rows)]
    grid = [list(_HEAD), ["---"] * len(_HEAD), *body]
    failed = [
        f"- {found['row']} {found['scenario']}: {', '.join(map(str, found['details'].get('why', [])))}"
        for found in lines
        if "row" in found and found["column"] == OURS and not found["passed"]
    ]
    parts = [told, "\n".join(f"| {' | '.join(row)} |" for row in grid)]
    parts.append("What falls short:\n\n" + "\n".join(failed) if failed else "Every scenario passed.")
    return "\n\n".join(parts)


def write(document: Path, table: str) -> None:
    """Put a table into a document: between its marks, or at its end."""
    block = f"{_MARKS[0]}\n\n{table}\n\n{_MARKS[1]}"
    before = document.read_text(encoding="utf-8") if document.exists() else "# Reliability\n"
    pattern = re.compile(re.escape(_MARKS[0]) + ".*?" + re.escape(_MARKS[1]), re.DOTALL)
    after = pattern.sub(lambda _: block, before) if pattern.search(before) else f"{before.rstrip()}\n\n{block}\n"
    document.write_text(after, encoding="utf-8")


def read(path: Path) -> list[Line]:
    """The lines of a file of outcomes."""
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines() if row]
