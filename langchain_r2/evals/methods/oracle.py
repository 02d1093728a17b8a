"""``oracle``: the cheapest allocation of our plans that is right. It knows the gold answer: a bound, not a method.

Grouped search from the strongest model downward (METHOD 3.3) gives a right allocation; enumeration looks for cheaper
ones. It is exact for models that do not sample: of the models that give a subtask the same answer only the cheapest can
be part of the best, and what costs more than what is known cannot be. Where a plan would take too many steps it ends
with the best found, and the run says so. Where nothing is right, its run is that of the cheapest model for all.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

from langchain_core.runnables import RunnableConfig

from langchain_r2.evals.executing import Execution, execute
from langchain_r2.evals.grading import Grader, graded
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.base import Method, NotApplicable, Router, Run, transport_of
from langchain_r2.parsing import joined
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Decomposer, DecomposerInput
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.transport import Transport
from langchain_r2.types import Subtask

MOST_STEPS = 30
"""Subtasks with given answers that an enumeration looks at, each with every model."""


class _Found(NamedTuple):
    executions: dict[str, Execution]
    """By subtask id."""
    cost_usd: float
    right: bool


def oracle(router: Router, grader: Grader, *, most_steps: int = MOST_STEPS) -> Method:
    """The cheapest right allocation of each plan.

    Raises:
        NotApplicable: A model writes the answers, or a price is unknown.
    """
    pool: ModelPool = router["pool"]
    transport = transport_of(router)
    aggregation = router.get("aggregation", "last")
    if aggregation == "llm":
        raise NotApplicable("it searches plans whose answer no model writes")
    if any(spec.price.cost_usd(1, 1) is None for spec in pool):
        raise NotApplicable("a price of the pool is unknown")
    decomposer: Decomposer = router.get("decomposer") or PromptedDecomposer(pool.strongest, transport=transport)

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        config: RunnableConfig = {"run_name": "decompose"}
        made = await decomposer.ainvoke(DecomposerInput(query=item.query), config)
        plan = made["plan"]["subtasks"]
        search = _Search(pool, transport, grader, item, plan, most_steps, joins=aggregation == "join")
        found, whole = await search.cheapest_right()
        kind = "enumerated" if whole else "grouped"
        rows = [row for s in plan if s["id"] in found.executions for row in found.executions[s["id"]].attempts]
        said = search.answer(found.executions)
        models = {id_: execution.model for id_, execution in found.executions.items()}
        facts = {"search": kind, "oracle_right": found.right, "models": models}
        wall_s = time.perf_counter() - started
        status, error = ("ok", None) if said else ("error", "no answer")
        return Run(said or None, status, error, plan, [*made["attempts"], *rows], wall_s, facts=facts)  # type: ignore[arg-type]

    return Method("oracle", answer, {"most_steps": most_steps, "knows": "the gold answer"})


class _Search:
    """The search for one plan."""

    def __init__(
        self,
        pool: ModelPool,
        transport: Transport,
        grader: Grader,
        item: Item,
        plan: list[Subtask],
        most_steps: int,
        *,
        joins: bool,
    ) -> None:
        self.joins = joins
        self.pool, self.transport, self.grader = pool, transport, grader
        self.item, self.plan, self.most_steps = item, plan, most_steps
        self._steps = 0
        self._made: dict[tuple[str, ...], list[Execution]] = {}
        """What all models made of a subtask, by its id and the answers that it was given."""

    async def cheapest_right(self) -> tuple[_Found, bool]:
        """What grouped search finds, made better by enumeration; and whether that came to its end."""
        best = await self.grouped()  # if it is right, its cost cuts most others off
        waiting: list[tuple[int, dict[str, Execution], float]] = [(0, {}, 0.0)]
        while waiting:
            place, before, cost = waiting.pop()
            if best.right and cost >= best.cost_usd:
                continue
            if place == len(self.plan):
                if await self._right(self.answer(before)):
                    best = _Found(before, cost, right=True)
                continue
            self._steps += 1
            if self._steps > self.most_steps:
                return best, False
            subtask = self.plan[place]
            options = await self._options(subtask, before)
            # The cheapest last: it is looked at first, and what it finds cuts others off.
            waiting += [
                (place + 1, {**before, subtask["id"]: made}, cost + (made.cost_usd or 0.0))
                for made in sorted(options, key=lambda e: -(e.cost_usd or 0.0))
            ]
        return best, True

    async def grouped(self) -> _Found:
        """From the strongest model for all, each subtask to the cheapest model with the same answer, dearest first."""
        start = await self._all_on(self.pool.strongest.name)
        if not start.right:
            return await self._all_on(self.pool.cheapest.name)
        kept = dict(start.executions)
        for id_ in sorted(kept, key=lambda i: -(kept[i].cost_usd or 0.0)):
            subtask = next(s for s in self.plan if s["id"] == id_)
            same = [e for e in await self._by_all(subtask, kept) if e.answer.strip() == kept[id_].answer.strip()]
            kept[id_] = min(same, key=lambda e: e.cost_usd or 0.0)
        return _Found(kept, sum(e.cost_usd or 0.0 for e in kept.values()), right=True)

    def answer(self, made: Mapping[str, Execution]) -> str:
        """What the run of a plan comes to: the last answer, or all joined; empty where there is none."""
        if self.joins:
            return joined(made[s["id"]].answer for s in self.plan if s["id"] in made) or ""
        last = made.get(self.plan[-1]["id"])
        return last.answer if last else ""

    async def _options(self, subtask: Subtask, before: Mapping[str, Execution]) -> list[Execution]:
        """For each answer that some model gives, the cheapest execution."""
        cheapest: dict[str, Execution] = {}
        for made in await self._by_all(subtask, before):
            other = cheapest.get(made.answer)
            if made.answer and (other is None or (made.cost_usd or 0.0) < (other.cost_usd or 0.0)):
                cheapest[made.answer] = made
        return list(cheapest.values())

    async def _all_on(self, model: str) -> _Found:
        """One model for all; where it has no answer, nothing after it can be run."""
        made: dict[str, Execution] = {}
        for subtask in self.plan:
            if any(not made[d].answer for d in subtask["depends_on"] if d in made):
                break
            if any(d not in made for d in subtask["depends_on"]):
                break
            made[subtask["id"]] = await self._execute(subtask, made, model)
        right = await self._right(self.answer(made))
        return _Found(made, sum(e.cost_usd or 0.0 for e in made.values()), right)

    async def _by_all(self, subtask: Subtask, before: Mapping[str, Execution]) -> list[Execution]:
        key = (subtask["id"], *(before[d].answer for d in subtask["depends_on"]))
        made = self._made.get(key)
        if made is None or any(execution.failed for execution in made):
            made = self._made[key] = await asyncio.gather(*(self._execute(subtask, before, s.name) for s in self.pool))
        return made

    async def _execute(self, subtask: Subtask, before: Mapping[str, Execution], model: str) -> Execution:
        answers = {id_: execution.answer for id_, execution in before.items()}
        return await execute(self.transport, self.pool[model], self.item.query, subtask, answers)

    async def _right(self, answer: str) -> bool:
        return bool(answer) and ((await graded(self.grader, answer, self.item)).score or 0.0) >= 1
