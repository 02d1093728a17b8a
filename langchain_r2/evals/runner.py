"""Runs methods over items: so many at a time, each record appended when it is there, none made twice."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress, TaskID

from langchain_r2.errors import BudgetError
from langchain_r2.evals.estimate import PILOT, Estimate, estimated
from langchain_r2.evals.folder import Folder, Seen
from langchain_r2.evals.grading import Grade, Grader, graded
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods import ON_COT, ON_FIXED, Method, NotApplicable, Run, Tuned, Validation
from langchain_r2.evals.path_time import path_s
from langchain_r2.ledger import add_costs, bill
from langchain_r2.transport.cached import CachedTransport


class Runner:
    """One evaluation under way."""

    def __init__(
        self,
        items: Sequence[Item],
        grader: Grader,
        folder: Folder,
        transport: CachedTransport,
        *,
        concurrency: int,
        bar: Progress,
    ) -> None:
        """Take what it needs."""
        self.items, self.grader, self.folder, self.transport = list(items), grader, folder, transport
        self.concurrency, self.bar = concurrency, bar
        self._bars: dict[str, TaskID] = {}
        self._tallies: dict[str, _Tally] = {}

    def stopped(self) -> bool:
        """Whether the budget could not pay for a call: nothing that ended since is believed."""
        return self.transport.refused

    async def ready(self, method: Method | Tuned, validation: Validation) -> Method | None:
        """A method as it will run, its settings written down; None where the pool cannot do it, or the budget ended."""
        if isinstance(method, Tuned):
            try:
                made = await method.make(validation)
            except NotApplicable as reason:
                self.folder.facts["not_applicable"][method.name] = str(reason)
                self.folder.save()
                return None
            except BudgetError:
                if not self.stopped():
                    raise
                return None
        else:
            made = method
        if self.stopped():
            return None
        if made.settings:
            self.folder.facts["settings"][made.name] = dict(made.settings)
            self.folder.save()
        return made

    async def run(self, method: Method, items: Sequence[Item] | None = None) -> None:
        """Run a method over the items that have no record of it."""
        rows = self.folder.seen.setdefault(method.name, {})
        missing = [item for item in (self.items if items is None else items) if item.id not in rows]
        gate = asyncio.Semaphore(self.concurrency)
        tally = self._tallies[method.name] = _Tally()
        for seen in rows.values():
            tally.add(seen)
        self._show(method.name)

        async def one(item: Item) -> None:
            async with gate:
                if self.stopped():
                    return
                try:
                    run = await method.answer(item)
                    row = record(method.name, item, run, await graded(self.grader, run.answer or "", item))
                except BudgetError:
                    if self.stopped():
                        return
                    raise
            if not self.stopped():
                if self.folder.facts.get("for_training"):
                    row["for_training"] = True
                self.folder.append(row)
                tally.add(rows[item.id])
                self._show(method.name)

        await asyncio.gather(*(one(item) for item in missing))

    async def estimate(
        self, methods: Sequence[Method | Tuned], validation: Validation, groups: Sequence[str]
    ) -> Estimate | None:
        """Run the first items of every method, and say what the rest will take; None where nothing is missing.

        Of methods that are tuned it has the tuning; what they call on the items is mostly what ``cot`` and ``fixed``
        call.
        """
        known = [m for m in methods if isinstance(m, Method)]
        tuned = [m for m in methods if isinstance(m, Tuned)]
        wanted = [m.name for m in methods if m.name not in self.folder.facts["not_applicable"]]
        runs = sum(len(self.items) - len(self.folder.seen.get(name, {})) for name in wanted)
        if not runs:
            return None
        before, started, first = self.transport.cache.spending.now(), time.perf_counter(), self.items[:PILOT]
        pilots = sum(item.id not in self.folder.seen.get(m.name, {}) for m in known for item in first)
        for method in known:
            await self.run(method, first)
        seconds = time.perf_counter() - started
        spent = (self.transport.cache.spending - before).spent_usd
        extra = await self._tuning_usd(validation, set(groups)) if tuned else 0.0
        counted = sum(len(self.items) - len(self.folder.seen[m.name]) for m in known)
        made = estimated(
            spent_usd=spent, seconds=seconds, pilots=pilots, runs=counted, concurrency=self.concurrency, extra_usd=extra
        )
        return made if pilots or extra else None

    async def _tuning_usd(self, validation: Validation, groups: set[str]) -> float | None:
        """What the validation outcomes will cost, from the first items' ones."""
        some = Validation(validation.items[:PILOT], self.grader, validation.router, concurrency=self.concurrency)
        before = self.transport.cache.spending.now()
        try:
            if groups & ON_COT:
                await some.cot()
            if groups & ON_FIXED:
                await some.fixed()
        except (NotApplicable, BudgetError):
            return 0.0
        spent = (self.transport.cache.spending - before).spent_usd
        return None if spent is None else spent / max(1, len(some.items)) * (len(validation.items) - len(some.items))

    def missing(self, methods: Sequence[str]) -> dict[str, int]:
        """How many items have no record, by method."""
        counts = {name: len(self.items) - len(self.folder.seen.get(name, {})) for name in methods}
        return {name: count for name, count in counts.items() if count}

    def _show(self, name: str) -> None:
        """Running accuracy and cost."""
        if name not in self._bars:
            self._bars[name] = self.bar.add_task(name, total=len(self.items), score="")
        tally = self._tallies[name]
        share = f"{tally.score / tally.graded:.1%} right" if tally.graded else "none graded"
        per_query = None if tally.cost_usd is None else tally.cost_usd / max(1, tally.runs) * 1e6
        paid = "unknown cost" if per_query is None else f"{per_query:.1f} USD per million queries"
        self.bar.update(self._bars[name], completed=tally.runs, score=f"{share}, {paid}")


@dataclass
class _Tally:
    """Sums over the records of a method."""

    runs: int = 0
    graded: int = 0
    score: float = 0.0
    cost_usd: float | None = 0.0

    def add(self, seen: Seen) -> None:
        self.runs += 1
        self.cost_usd = add_costs(self.cost_usd, seen.cost_usd)
        if seen.score is not None:
            self.graded += 1
            self.score += seen.score


def record(method: str, item: Item, run: Run, grade: Grade) -> dict[str, Any]:
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
        "path_s": path_s(run.plan, run.attempts),
        "facts": dict(run.facts),
        **dict(run.traced or {}),
    }
