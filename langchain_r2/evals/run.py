"""Runs methods over the items of a benchmark and writes what happened, item by item."""

import asyncio
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from langchain_r2.embedded.bundle import embedded_router
from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import Benchmark, Item, load_items
from langchain_r2.evals.methods import Method, Run, methods_for
from langchain_r2.evals.report import render
from langchain_r2.ledger import bill


def evaluate(
    benchmark: str,
    *,
    split: str,
    limit: int,
    seed: int,
    methods: list[str],
    out: Path,
    pool: str,
    concurrency: int,
    console: Console,
) -> None:
    """Run methods on a split; write ``records.jsonl`` and ``pool.json`` into a folder and print the table from them.

    Args:
        benchmark: Its name.
        split: Which of its splits.
        limit: How many items.
        seed: The same seed draws the same items.
        methods: Groups of methods, see :data:`langchain_r2.evals.methods.GROUPS`.
        out: Folder, made if it is not there; an earlier evaluation in it is replaced.
        pool: ``embedded``.
        concurrency: Items under way at a time.
        console: Where the progress and the table go.

    Raises:
        BadValueError: A value that is not allowed.
    """
    if pool != "embedded":
        raise BadValueError("pool", pool, "embedded", "Benchmarks run on the embedded pool for now.")
    if concurrency < 1:
        raise BadValueError("concurrency", concurrency, "a whole number from 1 up")
    chosen, items = load_items(benchmark, split, limit, seed)
    router = embedded_router()
    runners = methods_for(methods, router)
    out.mkdir(parents=True, exist_ok=True)
    facts = {"benchmark": benchmark, "split": split, "limit": limit, "seed": seed, "methods": [m.name for m in runners]}
    (out / "pool.json").write_text(json.dumps({**facts, "prices": router["pool"].prices()}, indent=1) + "\n")
    with (out / "records.jsonl").open("w", encoding="utf-8") as file, _progress(console) as bar:
        for method in runners:
            rows = asyncio.run(_run_method(method, items, chosen, concurrency, bar))
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            file.flush()
    render(out, console)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, TextColumn("{task.fields[score]}"), console=console)


async def _run_method(
    method: Method, items: list[Item], benchmark: Benchmark, concurrency: int, bar: Progress
) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(concurrency)
    task = bar.add_task(method.name, total=len(items), score="")
    right, cost, done = 0, 0.0, 0

    async def one(item: Item) -> dict[str, Any]:
        nonlocal right, cost, done
        async with gate:
            run = await method.answer(item)
        row = _record(method.name, item, run, benchmark.grade(run.answer or "", item.gold))
        right, done, cost = right + row["grade"]["score"], done + 1, cost + (row["cost_usd"] or 0.0)
        bar.update(task, advance=1, score=f"{right / done:.1%} right, {cost / done * 1e6:.1f} USD per million queries")
        return row

    return list(await asyncio.gather(*(one(item) for item in items)))


def _record(method: str, item: Item, run: Run, right: bool) -> dict[str, Any]:
    """A run record with the method and the grade."""
    total = bill(run.attempts)
    return {
        "id": item.id,
        "method": method,
        "query": item.query,
        "gold": item.gold,
        "answer": run.answer,
        "grade": {"status": "graded", "score": int(right)},
        "status": run.status,
        "error": run.error,
        "plan": run.plan,
        "attempts": run.attempts,
        "cost_usd": total.cost_usd,
        "cost_by_role": total.by_role,
        "cost_by_model": total.by_model,
        "wall_s": run.wall_s,
    }
