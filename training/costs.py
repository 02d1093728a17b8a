"""What every stage of training took: a line per stage and process, from which the bill of training is added up."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from langchain_r2.errors import BadValueError
from langchain_r2.ledger import add_costs
from training.executions import ExecutionCache


@contextmanager
def stage(name: str, ledger: Path, cache: ExecutionCache | None = None) -> Iterator[dict[str, Any]]:
    """Meter a stage, and write its line whether it ends well or not.

    Args:
        name: Such as ``sample``.
        ledger: The file that the line is added to.
        cache: Whose executions it pays for.

    Yields:
        Facts that the stage may add to its line.
    """
    started, cpu, before = time.time(), time.process_time(), cache.spending.now() if cache else None
    facts: dict[str, Any] = {}
    ended = "stopped"
    try:
        yield facts
        ended = "done"
    finally:
        spent = asdict(cache.spending - before) if cache and before else {}
        row = {"stage": name, "ended": ended, "started_at": started, "seconds": time.time() - started}
        row |= {"cpu_s": time.process_time() - cpu, **spent, **facts}
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def totals(ledger: Path) -> dict[str, dict[str, Any]]:
    """By stage, what all its processes took; a stage that was stopped and gone on with counts as a whole.

    Raises:
        BadValueError: The file cannot be read.
    """
    try:
        rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise BadValueError("training ledger", str(ledger), "a file that stages have written", str(error)) from error
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = found.setdefault(row["stage"], {"seconds": 0.0, "cpu_s": 0.0, "spent_usd": 0.0, "processes": 0})
        total["processes"] += 1
        for name in ("seconds", "cpu_s"):
            total[name] += row[name]
        for name in ("calls", "sent", "input_tokens", "output_tokens"):
            total[name] = total.get(name, 0) + row.get(name, 0)
        total["spent_usd"] = add_costs(total["spent_usd"], row.get("spent_usd", 0.0))
    return found


def break_even_queries(spent_usd: float, saved_usd_per_query: float) -> float | None:
    """After how many queries the savings have paid for the training; None: never."""
    return spent_usd / saved_usd_per_query if saved_usd_per_query > 0 else None
