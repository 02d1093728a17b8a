"""Several evaluations in one report: an overview, then the tables of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from langchain_r2.errors import BadValueError
from langchain_r2.evals.cells import interval, ratio_of, usd_per_million
from langchain_r2.evals.findings import cheapest_as_accurate
from langchain_r2.evals.folder import FACTS
from langchain_r2.evals.metrics import mean_score
from langchain_r2.evals.rows import Method, read
from langchain_r2.evals.sheets import Sheet, strongest_of

OVERVIEW: Final = "r2, and single models working alone"


def evaluations_in(root: Path) -> list[Path]:
    """The folders of evaluations below a folder, or itself.

    Raises:
        BadValueError: There is none.
    """
    found = sorted(file.parent for file in root.rglob(FACTS))
    if not found:
        raise BadValueError("folder", str(root), "one that `langchain-r2 eval` wrote, or that has such in it")
    return found


def overview(folders: Sequence[Path]) -> Sheet:
    """A row for each evaluation that has ``r2``."""
    columns = (
        "evaluation", "items", "r2", "USD per million queries", "strongest at once", "strongest step by step",
        "cheapest single model as accurate", "r2's cost / its",
    )  # fmt: skip
    rows = []
    for folder in folders:
        facts, methods = read(folder)
        if (r2 := methods.get("r2")) is None or not r2.scores:
            continue
        alone = [m for name, m in methods.items() if name.startswith(("direct ", "cot "))]
        single, strongest = cheapest_as_accurate(alone, r2), strongest_of(facts)
        rows.append(
            (
                f"{facts['benchmark']}, {facts['split']}",
                str(len(r2)),
                interval(mean_score(r2.scores), ".1%"),
                usd_per_million(r2),
                *(_accuracy(methods.get(f"{group} {strongest}")) for group in ("direct", "cot")),
                single.name if single else "none",
                ratio_of(r2, single, ".2f") if single else "",
            )
        )
    return Sheet(OVERVIEW, columns, rows)


def _accuracy(method: Method | None) -> str:
    return interval(mean_score(method.scores), ".1%") if method and method.scores else ""
