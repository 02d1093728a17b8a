"""Runs methods over the items of a benchmark and writes what happened, item by item."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import Selection
from langchain_r2.evals.config import items_hash, router_config, with_transport
from langchain_r2.evals.estimate import Estimate
from langchain_r2.evals.folder import CALLS, Folder
from langchain_r2.evals.grading import RUNS_CODE, Grader, Tools, graded, open_grader
from langchain_r2.evals.methods import Router, Validation, groups_of, methods_for
from langchain_r2.evals.report import render
from langchain_r2.evals.runner import Runner
from langchain_r2.ledger import Budget, usd
from langchain_r2.transport import Transport
from langchain_r2.transport.cached import CachedTransport
from langchain_r2.transport.executions import ExecutionCache

Confirm = Callable[[Estimate], bool]
"""Whether to go on, given what it will take."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an evaluation may take."""

    concurrency: int = 8
    """Items under way at a time."""
    budget_usd: float | None = None
    """Most that may be spent on calls; what is kept from before costs nothing. It stops before a call that could pass
    it. None: no limit."""
    confirm: Confirm | None = None
    """Asked before all but the first items; None: it goes on."""

    def __post_init__(self) -> None:
        """Check the limits."""
        if self.concurrency < 1:
            raise BadValueError("concurrency", self.concurrency, "a whole number from 1 up")
        if self.budget_usd is not None and not self.budget_usd > 0:
            raise BadValueError("budget", self.budget_usd, "USD above 0, or nothing for no limit")


def evaluate(
    selection: Selection,
    *,
    router: Router,
    methods: Sequence[str],
    out: Path,
    validation: Selection | None = None,
    limits: Limits | None = None,
    console: Console | None = None,
    tools: Tools | None = None,
    cache: Path | None = None,
    restart: bool = False,
) -> bool:
    """Run methods on items; write records and facts into a folder, and the report that follows from them.

    A run that was stopped, or killed, goes on where it was when it is started again. What was run already is never run
    again, also with further methods; equal calls are made once, and every method's bill has their full price.

    Args:
        selection: The items, from :func:`langchain_r2.evals.benchmarks.load_items`.
        router: The arguments of ``create_r2_graph``, such as ``embedded_router()``, or ``{"pool": pool}``.
        methods: Groups of methods, see :data:`langchain_r2.evals.methods.GROUPS`; also ``baselines`` and ``all``.
        out: Folder, made if it is not there.
        validation: Items that baselines are tuned on; None: those that need tuning are not applicable.
        limits: What it may take.
        console: Where the progress and the table go; None: standard output.
        tools: What the grader needs, such as a judging model.
        cache: File that keeps the calls; None: one in the folder.
        restart: Replace what is in the folder; calls are kept.

    Returns:
        Whether every method ran on every item.

    Raises:
        BadValueError: A value that is not allowed, a grader that can grade none of the items, validation items among
            the test items, or a folder with an evaluation of another configuration.
        MissingExtraError: The grader needs a package that is not installed.
    """
    limits, console = limits or Limits(), console or Console()
    groups = groups_of(methods)
    _check_apart(selection, validation)
    with open_grader(selection.benchmark.grader, tools) as grader:
        gold = asyncio.run(_check_gold(selection, grader, console))
    folder = Folder(out, _config(selection, validation, router), restart=restart)
    folder.save(**selection.facts, ids=[item.id for item in selection.items], gold=gold, groups=groups)
    kept = ExecutionCache(cache or out / CALLS)
    transport = _transport(router, kept, limits)
    try:
        with open_grader(selection.benchmark.grader, (tools or Tools())._replace(transport=transport)) as grader:
            moved, items = with_transport(router, transport), validation.items if validation else []
            with _progress(console) as bar:
                runner = Runner(selection.items, grader, folder, transport, concurrency=limits.concurrency, bar=bar)
                tuning = Validation(items, grader, moved, concurrency=limits.concurrency, done=_shown(bar, items))
                whole = asyncio.run(_all(runner, groups, tuning, limits, console, int(selection.facts.get("seed", 0))))
    finally:
        folder.close()
        kept.close()
    render(out, console)
    return whole


async def _all(
    runner: Runner, groups: Sequence[str], tuning: Validation, limits: Limits, console: Console, seed: int
) -> bool:
    """All methods, after an estimate from their first items."""
    planned = methods_for(groups, tuning.router, runner.grader, seed=seed)
    folder, names = runner.folder, [method.name for method in planned]
    folder.save(
        methods=list(dict.fromkeys([*folder.facts["methods"], *names])),
        prices=tuning.pool.prices(),
        strongest=tuning.pool.strongest.name,
    )
    for name in names:
        folder.facts["not_applicable"].pop(name, None)
    estimate = await runner.estimate(planned, tuning, groups)
    if estimate is not None:
        _say(console, f"Estimate: {estimate}.")
        if limits.budget_usd is not None and estimate.usd is not None and estimate.usd > limits.budget_usd:
            _say(console, f"That is more than the budget of {usd(limits.budget_usd)} USD: it will stop before the end.")
        if limits.confirm is not None and not runner.stopped() and not limits.confirm(estimate):
            return _ended(runner, names, console, "Stopped as asked")
    for method in planned:
        made = await runner.ready(method, tuning)
        if made is not None:
            await runner.run(made)
        if runner.stopped():
            return _ended(runner, names, console, f"The budget of {usd(limits.budget_usd)} USD is used up")
    return _ended(runner, names, console, "")


def _ended(runner: Runner, names: Sequence[str], console: Console, why: str) -> bool:
    """Write down how it ended; say what is missing."""
    spending, facts = runner.transport.cache.spending, runner.folder.facts
    missing = runner.missing([name for name in names if name not in facts["not_applicable"]])
    earlier = facts.get("spent_usd", 0.0)
    total = None if spending.spent_usd is None or earlier is None else earlier + spending.spent_usd
    runner.folder.save(missing=missing, spent_usd=total, calls_sent=facts.get("calls_sent", 0) + spending.sent)
    _say(console, f"Calls sent: {spending.sent} of {spending.calls}; spent {usd(spending.spent_usd)} USD.")
    if missing:
        told = ", ".join(f"{name} {count}" for name, count in missing.items())
        _say(console, f"{why}. Missing: {told}. The same command goes on.")
    return not missing


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _transport(router: Router, kept: ExecutionCache, limits: Limits) -> CachedTransport:
    """A transport with the settings of the router's own, that keeps every reply."""
    own: Transport = router.get("transport") or Transport()
    names = ("max_tries", "first_delay_s", "breaker_failures", "breaker_open_s")
    settings = {name: getattr(own, name) for name in names}
    return CachedTransport(kept, purse=Budget(limits.budget_usd), keep_failed=True, **settings)


def _config(selection: Selection, validation: Selection | None, router: Router) -> dict[str, Any]:
    """What the records follow from, methods left out: a method may be added."""
    return {
        "selection": dict(selection.facts),
        "items": items_hash(selection.items),
        "validation": None if validation is None else dict(validation.facts),
        "validation_items": None if validation is None else items_hash(validation.items),
        "router": router_config(router),
    }


def _check_apart(selection: Selection, validation: Selection | None) -> None:
    queries = {item.query for item in selection.items}
    both = [item.id for item in (validation.items if validation else []) if item.query in queries]
    if both:
        hint = "Thresholds are never chosen on what they are tested on."
        raise BadValueError("validation items", both[:3], "items that are not tested on", hint)


def _shown(bar: Progress, items: Sequence[Any]) -> Callable[[str], None]:
    """A bar for each table that baselines are tuned on."""
    bars: dict[str, Any] = {}

    def done(name: str) -> None:
        if name not in bars:
            bars[name] = bar.add_task(f"validation: {name}", total=len(items), score="")
        bar.update(bars[name], advance=1)

    return done


async def _check_gold(selection: Selection, grader: Grader, console: Console) -> dict[str, int]:
    """Grade the gold answers before anything is paid: what does not grade those grades no model.

    Not with a grader that may call a model, or runs code.
    """
    named, items = selection.benchmark.grader, selection.items
    functions = (named, getattr(named, "__call__", None))  # noqa: B004 - an object's own function may be the async one
    may_cost = (
        named in {"llm", *RUNS_CODE} if isinstance(named, str) else any(map(inspect.iscoroutinefunction, functions))
    )
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
    # Drawing so many rows ten times a second, as is the default, takes the time of the models. Where no terminal shows
    # them, only their end is written.
    live = console.is_terminal
    score = TextColumn("{task.fields[score]}")
    return Progress(*columns, score, console=console, auto_refresh=live, refresh_per_second=1)
