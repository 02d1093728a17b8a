"""Runs methods over the items of a benchmark and writes what happened, item by item."""

import asyncio
import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import Item, Selection
from langchain_r2.evals.grading import Grade, Grader, Tools, graded, open_grader
from langchain_r2.evals.methods import Method, Router, Run, methods_for
from langchain_r2.evals.report import render
from langchain_r2.ledger import add_costs, bill


def evaluate(
    selection: Selection,
    *,
    router: Router,
    methods: list[str],
    out: Path,
    concurrency: int = 8,
    console: Console | None = None,
    tools: Tools | None = None,
) -> None:
    """Run methods on items; write ``records.jsonl`` and ``pool.json`` into a folder and print the table from them.

    Args:
        selection: The items, from :func:`langchain_r2.evals.benchmarks.load_items`.
        router: The arguments of ``create_r2_graph``, such as ``embedded_router()``, or ``{"pool": pool}``.
        methods: Groups of methods, see :data:`langchain_r2.evals.methods.GROUPS`.
        out: Folder, made if it is not there; an earlier evaluation in it is replaced.
        concurrency: Items under way at a time.
        console: Where the progress and the table go; None: standard output.
        tools: What the grader needs, such as a judging model.

    Raises:
        BadValueError: A value that is not allowed, or a grader that can grade none of the items.
        MissingExtraError: The grader needs a package that is not installed.
    """
    if concurrency < 1:
        raise BadValueError("concurrency", concurrency, "a whole number from 1 up")
    console = console or Console()
    runners = methods_for(methods, router)
    with open_grader(selection.benchmark.grader, tools) as grader:
        facts = {**selection.facts, "gold": asyncio.run(_check_gold(selection, grader, console))}
        facts |= {"methods": [m.name for m in runners], "prices": router["pool"].prices()}
        out.mkdir(parents=True, exist_ok=True)
        (out / "pool.json").write_text(json.dumps(facts, indent=1) + "\n")
        with (out / "records.jsonl").open("w", encoding="utf-8") as file, _progress(console) as bar:
            for method in runners:
                rows = asyncio.run(_run_method(method, selection.items, grader, concurrency, bar))
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                file.flush()
    render(out, console)


async def _check_gold(selection: Selection, grader: Grader, console: Console) -> dict[str, int]:
    """Grade the gold answers before anything is paid: what does not grade those grades no model.

    Not with a grader that may call a model, or runs code.
    """
    named, items = selection.benchmark.grader, selection.items
    functions = (named, getattr(named, "__call__", None))  # noqa: B004 - an object's own function may be the async one
    may_cost = named in {"llm", "code"} if isinstance(named, str) else any(map(inspect.iscoroutinefunction, functions))
    if may_cost:
        return {}
    grades = await asyncio.gather(*(graded(grader, item.gold, item) for item in items))
    reasons = Counter(grade.reason for grade in grades if grade.status == "ungradable")
    count, missed = reasons.total(), sum(grade.score is not None and grade.score < 1 for grade in grades)
    said = "; ".join(f"{reason} ({n})" for reason, n in reasons.most_common(3))
    if count == len(items):
        raise BadValueError("grader", selection.facts["grader"], "one that can grade at least one of the items", said)
    if count:
        console.print(f"{count} of {len(items)} items cannot be graded: {said}", markup=False, highlight=False)
    if missed:
        console.print(f"The gold answers of {missed} of {len(items)} items are not graded right.", highlight=False)
    return {"right": len(items) - count - missed, "wrong": missed, "ungradable": count}


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, TextColumn("{task.fields[score]}"), console=console)


async def _run_method(
    method: Method, items: list[Item], grader: Grader, concurrency: int, bar: Progress
) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(concurrency)
    task = bar.add_task(method.name, total=len(items), score="")
    scores: list[float] = []
    cost: float | None = 0.0
    done = 0

    async def one(item: Item) -> dict[str, Any]:
        nonlocal cost, done
        async with gate:
            run = await method.answer(item)
            row = _record(method.name, item, run, await graded(grader, run.answer or "", item))
        done, cost = done + 1, add_costs(cost, row["cost_usd"])
        if row["grade"]["score"] is not None:
            scores.append(row["grade"]["score"])
        share = f"{sum(scores) / len(scores):.1%} right" if scores else "none graded"
        paid = "unknown cost" if cost is None else f"{cost / done * 1e6:.1f} USD per million queries"
        bar.update(task, advance=1, score=f"{share}, {paid}")
        return row

    return list(await asyncio.gather(*(one(item) for item in items)))


def _record(method: str, item: Item, run: Run, grade: Grade) -> dict[str, Any]:
    """A run record with the method and the grade; what the grading took is beside the bill, not in it."""
    total = bill(run.attempts)
    return {
        "id": item.id,
        "method": method,
        "query": item.query,
        "gold": item.gold,
        "answer": run.answer,
        "grade": {
            "status": grade.status,
            "score": grade.score,
            "reason": grade.reason,
            "measures": dict(grade.measures),
            "cost_usd": bill(grade.attempts).cost_usd,
        },
        "status": run.status,
        "error": run.error,
        "plan": run.plan,
        "attempts": run.attempts,
        "cost_usd": total.cost_usd,
        "cost_by_role": total.by_role,
        "cost_by_model": total.by_model,
        "wall_s": run.wall_s,
        **dict(run.traced or {}),
    }
