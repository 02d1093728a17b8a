"""Homes of embedded routers: the shipped models beside adapters of another training, with settings of their own.

What a router runs with - the calibration of its plans, coverage, threshold - is chosen anew for each, in the same way,
on validation problems only. All calls go through one cache of executions, so that equal ones are made once.
"""

import asyncio
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from langchain_r2.confidence import Calibration, fit
from langchain_r2.config import R2Context
from langchain_r2.embedded.bundle import HOME, embedded_router, router_spec
from langchain_r2.embedded.chat import read_json
from langchain_r2.evals.benchmarks.arithmetic import grade
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.prompts import bare
from langchain_r2.types import ROUTER_ROLES
from training.embedded.arithmetic import Arithmetic
from training.embedded.calibrate import choose
from training.embedded.models import ask, load_engine
from training.executions import CachedTransport, ExecutionCache, Stored
from training.items import TrainItem, load_train_items
from training.plan_requests import PlanRequest
from training.plan_runs import PlanRunner
from training.sft_data import ROLES

PLAN_PROBLEMS: Final = 300
"""Validation problems that a decomposer's plans are calibrated on."""
CONCURRENCY: Final = 64


def new_home(folder: Path, *, decomposer: Path, allocator: Path) -> Path:
    """Make a home of two adapters; the models, the bases and the tokenizer are those that are shipped."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "router").mkdir(parents=True)
    for shared in [*(row["name"] for row in read_json(HOME / "pool.json")), "tokenizer"]:
        (folder / shared).symlink_to(HOME / shared)
    for role, adapter in zip(ROLES, (decomposer, allocator), strict=True):
        (folder / "router" / f"{role}_base").symlink_to(HOME / "router" / f"{role}_base")
        shutil.copytree(adapter, folder / "router" / role)
    for file in ("pool.json", "router.json"):
        shutil.copy(HOME / file, folder / file)
    return folder


def settle(home: Path, cache: ExecutionCache) -> dict[str, Any]:
    """Calibrate a home's plans, choose coverage and threshold, write its ``router.json``; returns what was chosen."""
    settings = read_json(home / "router.json")
    settings["decomposer_calibration"] = dataclasses.asdict(plan_calibration(home, cache))
    drawn = load_train_items("arithmetic", "validation", Arithmetic.choice_problems, shard="choice")

    def run() -> tuple[float, float]:
        rows = run_items(home, drawn, cache)
        return sum(row["right"] for row in rows) / len(rows), sum(row["cost_usd"] for row in rows) / len(rows)

    chosen = choose(home, settings, run)
    keys = ("coverage", "threshold")
    tried: list[dict[str, Any]] = chosen["chosen_on"]["tried"]
    return next(row for row in tried if all(row[key] == chosen[key] for key in keys))


def plan_calibration(home: Path, cache: ExecutionCache) -> Calibration:
    """From the probability of a plan to that of its being right, which the strongest model's run of it shows."""
    drawn = load_train_items("arithmetic", "validation", PLAN_PROBLEMS, shard="plans")
    tokenizer = Tokenizer.from_file(str(home / "tokenizer" / "tokenizer.json"))
    engine = load_engine(home / "router" / "decomposer_base", tokenizer, home / "router" / "decomposer")
    written = ask(engine, tokenizer, [bare.decompose(item.query).user for item in drawn], 192)
    router = embedded_router(home, transport=CachedTransport(cache))
    strongest = router["pool"].strongest.name
    runner = PlanRunner(
        router["pool"],
        lambda prediction, item: grade(prediction, item.gold),
        CachedTransport(cache),
        decomposer=router_spec(home, "decomposer", read_json(home / "router.json")),
        confidence=router["confidence"],
    )
    requests = [
        PlanRequest(item=item, plan=Stored(answer.text), allocation={str(n): strongest for n in range(1, 33)})
        for item, answer in zip(drawn, written, strict=True)
    ]
    right = [run.status == "right" for run in runner.run_all(requests)]
    digest = hashlib.sha256(json.dumps([item.query for item in drawn]).encode()).hexdigest()[:16]
    return dataclasses.replace(fit([answer.signal for answer in written], right), data_sha256=digest)


def run_items(home: Path, items: Sequence[TrainItem], cache: ExecutionCache) -> list[dict[str, Any]]:
    """Run a home's router on problems, with reallocation and replans; one record each."""
    return run_router(dict(embedded_router(home, transport=CachedTransport(cache))), items)


def run_router(router: Mapping[str, Any], items: Sequence[TrainItem]) -> list[dict[str, Any]]:
    """Run a router, as arguments of ``create_r2_graph``, on problems; one record each."""
    return asyncio.run(_run_all(create_r2_graph(**router), items))


async def _run_all(graph: Any, items: Iterable[TrainItem]) -> list[dict[str, Any]]:  # noqa: ANN401 - a compiled graph
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(item: TrainItem) -> dict[str, Any]:
        async with gate:
            out = await graph.ainvoke({"query": item.query}, context=R2Context())
        paid = bill(out["attempts"])
        router = bill(a for a in out["attempts"] if a["role"] in ROUTER_ROLES)
        return {
            "id": item.id,
            "split": item.split,
            "gold": item.answer,
            "answer": out["answer"],
            "right": grade(out["answer"] or "", item.answer),
            "cost_usd": paid.cost_usd,
            "router_usd": router.cost_usd,
            "calls": paid.calls,
            "plan": [s["text"] for s in out["plan"]["subtasks"]],
        }

    return list(await asyncio.gather(*(one(item) for item in items)))
