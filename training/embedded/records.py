"""Records of a router on the tests: its settings chosen on validation, then a line per problem."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.embedded.homes import new_home, run_items, settle
from training.embedded.models import write_json
from training.executions import ExecutionCache
from training.items import load_train_items

TESTS: Final = ("test", "wordings", "longer")
CHOSEN: Final = "chosen.json"
"""In a home: what was chosen on validation, and how it did there."""
_KEPT: Final = ("split", "id", "answer", "right", "cost_usd", "router_usd", "calls")


def record(
    out: Path,
    stage: str,
    seed: int,
    adapters: Mapping[str, Path],
    tests: int,
    cache: ExecutionCache,
    *,
    splits: Sequence[str] = TESTS,
) -> None:
    """Settle a router and run it on the tests, unless its records are there.

    Args:
        out: Gets ``homes/STAGE-SEED`` and ``records/STAGE-SEED.jsonl``.
        stage: What the router came from.
        seed: Of its training.
        adapters: By role.
        tests: Problems per test.
        cache: Keeps the executions.
        splits: Which tests.
    """
    file = records_file(out, stage, seed)
    if file.exists():
        return
    home = new_home(out / "homes" / f"{stage}-{seed}", **adapters)
    write_json(home / CHOSEN, settle(home, cache))
    rows: list[dict[str, Any]] = []
    for split in splits:
        ran = run_items(home, load_train_items("arithmetic", split, tests, shard="eval"), cache)
        rows += rows_of(stage, seed, ran)
    write_rows(file, rows)


def rows_of(stage: str, seed: int, ran: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is kept of a router's runs."""
    return [
        {"stage": stage, "seed": seed, **{key: row[key] for key in _KEPT}, "subtasks": len(row["plan"])} for row in ran
    ]


def records_file(out: Path, stage: str, seed: int) -> Path:
    """Where the records of a stage and seed are."""
    return out / "records" / f"{stage}-{seed}.jsonl"


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file of records in one step: a kill leaves none, or a whole one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    beside.replace(file)
