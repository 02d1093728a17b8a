"""A folder of pages for many runs: one for each, and one that shows all."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from langchain_r2.ledger import bill
from langchain_r2.run_record import answered
from langchain_r2.trace.data import Json, moves_of_record
from langchain_r2.trace.page import page
from langchain_r2.trace.run_page import to_html
from langchain_r2.types import ROUTER_ROLES, RunRecord

INDEX: Final = "index.html"
_SHOWN: Final = 240
"""Characters of a query or an answer in the table; its run's page has all."""


def write_pages(records: Iterable[RunRecord], out: Path, title: str) -> Path:
    """Write a page for every record and the page that links to them; gives the latter's path.

    Records are read one by one, so that a file of many does not have to fit into memory.

    Args:
        records: Of a batch or an evaluation.
        out: The folder, made if it is not there.
        title: Of the page that shows all.
    """
    runs, models = [], dict[str, Json]()
    (out / "runs").mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(records, 1):
        href = f"runs/{number:05d}-{_file_name(record['id'])}.html"
        (out / href).write_text(to_html(record), encoding="utf-8")
        runs.append(run_row(record, href))
        _count(models, record)
    index = out / INDEX
    index.write_text(page("batch.js", title, {"title": title, "runs": runs, "models": list(models.values())}), "utf-8")
    return index


def run_row(record: RunRecord, href: str | None) -> Json:
    """What the table shows of a run; an evaluation's record has its method and its grade too."""
    more: Any = record
    moved = [move["kind"] for move in moves_of_record(record)]
    parts = {a["subtask_id"] for a in record["attempts"] if a["direction"] == "replan" and a["role"] == "executor"}
    total = bill(record["attempts"])
    router = [cost for role, cost in total.by_role.items() if role in ROUTER_ROLES]
    return {
        "id": record["id"],
        "href": href,
        "method": more.get("method"),
        "query": record["query"][:_SHOWN],
        "answer": None if record["answer"] is None else record["answer"][:_SHOWN],
        "answered": answered(record),
        "status": record["status"],
        "score": (more.get("grade") or {}).get("score"),
        "cost_usd": record["cost_usd"],
        "router_usd": None if None in router else sum(cost or 0.0 for cost in router),
        "router_share": total.router_share,
        "wall_s": record["wall_s"],
        "subtasks": len(record["plan"]),
        "calls": len(record["attempts"]),
        "up": moved.count("upward"),
        "down": moved.count("downward"),
        "replan": moved.count("replan") if "results" in record else len({str(p).rpartition(".")[0] for p in parts}),
    }


def _count(models: dict[str, Json], record: RunRecord) -> None:
    """Add a run's calls to those of each model."""
    for row in record["attempts"]:
        new = {"name": row["model"], "group": row["group"], "calls": 0, "cost_usd": 0.0}
        model = models.setdefault(row["model"], new)
        model["calls"] += 1
        cost = row["cost_usd"]
        model["cost_usd"] = None if cost is None or model["cost_usd"] is None else model["cost_usd"] + cost


def _file_name(id_: str) -> str:
    """An id as part of a file's name: it came from outside."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", id_)[:40].strip("-") or "run"
