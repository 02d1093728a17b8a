"""What baselines are tuned on: validation items, their outcomes with every model, and one rule to choose by.

Every tuned baseline gets the same items, the same outcomes (made once, every model on every item) and the same rule;
how many settings it tried is in its facts. Test items are never looked at.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

from langchain_r2.evals.grading import Grader, graded
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.alone import prompt_of
from langchain_r2.evals.methods.base import Method, NotApplicable, Router, Run, ask, transport_of
from langchain_r2.evals.methods.routed import fixed
from langchain_r2.ledger import bill
from langchain_r2.pool import ModelPool
from langchain_r2.transport import Transport

TOLERANCE: Final = 0.01
"""How much less accurate than the best setting the cheapest one that is taken may be, on validation items."""

T = TypeVar("T")


class Outcome(NamedTuple):
    """What one model made of one item."""

    score: float
    """From the grader; what cannot be graded counts as not right while tuning."""
    cost_usd: float
    signal: float | None
    """Log-probability of the reply; None where the model shows none, or several calls made the answer."""
    answer: str


Table = dict[str, list[Outcome]]
"""Outcomes by model name, in the order of the items."""


class Candidate(NamedTuple):
    """A setting, and what it is worth on validation items."""

    settings: Mapping[str, Any]
    accuracy: float
    cost_usd: float
    """Per item."""

    def as_facts(self, tried: int) -> dict[str, Any]:
        """What a report says of the choice."""
        return {
            **{name: _shown(value) for name, value in self.settings.items()},
            "tried_settings": tried,
            "validation_accuracy": round(self.accuracy, 4),
            "validation_usd": self.cost_usd,
        }


def _shown(value: object) -> object:
    """JSON has no infinite number: a threshold that all reach, or none, is a word."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def points(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Mean score and mean cost."""
    n = len(outcomes)
    return sum(o.score for o in outcomes) / n, sum(o.cost_usd for o in outcomes) / n


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The cheapest setting that is at most :data:`TOLERANCE` less accurate than the best one; of equals the first."""
    best = max(c.accuracy for c in candidates)
    enough = [c for c in candidates if c.accuracy >= best - TOLERANCE - 1e-12]
    return min(enough, key=lambda c: c.cost_usd)


class Validation:
    """Validation items, and what the pool makes of them; each table is made when it is first asked for."""

    def __init__(
        self,
        items: Sequence[Item],
        grader: Grader,
        router: Router,
        *,
        concurrency: int = 8,
        done: Callable[[str], None] | None = None,
    ) -> None:
        """Take the items.

        Args:
            items: Never test items; none: whatever has to be tuned is not applicable.
            grader: The same as of the test.
            router: Has the pool and the transport.
            concurrency: Items under way at a time.
            done: Told of every outcome, by what it was made for.
        """
        self.items, self.grader, self.router = list(items), grader, router
        self.concurrency, self._done = concurrency, done
        self._tables: dict[str, asyncio.Task[Table]] = {}

    @property
    def pool(self) -> ModelPool:
        """The pool."""
        pool: ModelPool = self.router["pool"]
        return pool

    @property
    def transport(self) -> Transport:
        """How calls are made."""
        return transport_of(self.router)

    async def cot(self) -> Table:
        """Every model working step by step on every item."""
        return await self._table("cot", self._cot)

    async def fixed(self) -> Table:
        """Every model doing all subtasks of our plans, for every item."""
        return await self._table("fixed", self._fixed)

    async def outcomes_of(self, method: Method) -> list[Outcome]:
        """What a method makes of the items."""

        async def one(item: Item) -> Outcome:
            return await self._outcome(item, await method.answer(item))

        return await self.over_items(method.name, one)

    async def over_items(self, name: str, work: Callable[[Item], Awaitable[T]]) -> list[T]:
        """Do something with every item, so many at a time.

        Raises:
            NotApplicable: There are no validation items.
        """
        if not self.items:
            raise NotApplicable("it is tuned on validation items, and there are none (--validation)")
        gate = asyncio.Semaphore(self.concurrency)

        async def one(item: Item) -> T:
            async with gate:
                made = await work(item)
            if self._done is not None:
                self._done(name)
            return made

        return list(await asyncio.gather(*(one(item) for item in self.items)))

    async def _table(self, name: str, make: Callable[[], Awaitable[Table]]) -> Table:
        if name not in self._tables:
            self._tables[name] = asyncio.ensure_future(make())
        return await asyncio.shield(self._tables[name])

    async def _cot(self) -> Table:
        table: Table = {}
        for spec in self.pool:

            async def one(item: Item, spec: Any = spec) -> Outcome:  # noqa: ANN401 - bound in the loop
                said = await ask(self.transport, spec, prompt_of("cot", spec, item.query))
                score = (await graded(self.grader, said.answer, item)).score or 0.0
                return Outcome(score, _known(said.cost_usd), said.signal, said.answer)

            table[spec.name] = await self.over_items(f"cot {spec.name}", one)
        return table

    async def _fixed(self) -> Table:
        return {spec.name: await self.outcomes_of(fixed(spec, self.router)) for spec in self.pool}

    async def _outcome(self, item: Item, run: Run) -> Outcome:
        score = (await graded(self.grader, run.answer or "", item)).score or 0.0
        return Outcome(score, _known(bill(run.attempts).cost_usd), None, run.answer or "")


def _known(cost_usd: float | None) -> float:
    if cost_usd is None:
        raise NotApplicable("it is tuned by cost, and a price of the pool is unknown")
    return cost_usd


def pair(table: Table) -> tuple[str, str]:
    """The small and the large model of methods that have two.

    The large one is the strongest of the pool. The small one is that with which a router that is never wrong would be
    cheapest: it answers what it gets right, the large one the rest. By outcomes alone, so it is the same for all such
    methods.

    Raises:
        NotApplicable: The pool has one model.
    """
    *others, large = list(table)
    if not others:
        raise NotApplicable("it needs two models")

    def ideal(name: str) -> float:
        both = zip(table[name], table[large], strict=True)
        return sum(s.cost_usd if s.score >= b.score else b.cost_usd for s, b in both)

    return min(others, key=ideal), large


def thresholds(values: Sequence[float], most: int = 20) -> list[float]:
    """Thresholds midway between values, from one that all reach to one that none does."""
    between = [(low + high) / 2 for low, high in pairwise(sorted(set(values)))]
    step = max(1, len(between) // most)
    return [float("-inf"), *between[::step], float("inf")]
