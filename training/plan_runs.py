"""Runs given plans with given allocations through the real graph, and says what came of each.

A plan is given as the *reply* of a decomposer, an allocation as the reply of an allocator or as model names. Replies
are replayed as the router's own: what parses, repairs, bills and decides in training is what does so in running.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig

from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError, ConfigurationError, R2Error
from langchain_r2.evals.grading import Grader, graded
from langchain_r2.flow import Flow, Invoke
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import parse_allocation, parse_plan
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, AllocatorInput, AllocatorOutput, FlowRunnable
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.types import ROUTER_ROLES, Allocation, Attempt, ParseOutcome, Reason, Subtask
from training.executions import REPETITION, REPLAYED, CachedTransport, Stored
from training.items import TrainItem
from training.plan_requests import AS_ALLOCATED, PlanRequest, PlanRun, RunStatus, asked_as_json, key_of

_MOST_KEPT: Final = 16384
"""Ended runs that a runner remembers."""


class _Usable(NamedTuple):
    subtasks: list[Subtask]
    parse: ParseOutcome


_GIVEN: Final[str] = "r2_given_allocation"


class GivenAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Allocates as the run's configuration says; asks another allocator where it says nothing, and in replans."""

    def __init__(self, otherwise: Allocator | None) -> None:
        """Take the other allocator."""
        self.otherwise = otherwise

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Allocate."""
        given: Mapping[str, str] | None = (config.get("configurable") or {}).get(_GIVEN)
        if given is None or value.get("subtask_id"):
            if self.otherwise is None:
                raise BadValueError("allocation", None, "model names or a reply", "This runner has no allocator.")
            made: AllocatorOutput = yield Invoke(self.otherwise, value, config)
            return made
        told: dict[str, Reason] = dict.fromkeys(given, "allocated")
        return AllocatorOutput(allocation=Allocation(models=dict(given), reasons=told, note=None), attempts=[])


class PlanRunner:
    """Runs plans, many at once; safe to use from several event loops, one after the other."""

    def __init__(
        self,
        pool: ModelPool,
        grader: Grader,
        transport: CachedTransport,
        *,
        decomposer: ModelSpec,
        allocator: PromptedAllocator | None = None,
        confidence: Confidence | None = None,
        context: R2Context = AS_ALLOCATED,
        max_subtasks: int = 32,
        concurrency: int = 64,
        timeout_s: float = 300.0,
    ) -> None:
        """Make a runner.

        Args:
            pool: The models.
            grader: Says whether an answer is right.
            transport: How calls are made; its cache keeps them.
            decomposer: Whose replies the plans are: what bills them. Called only in replans.
            allocator: Asked, or made to read its reply; its calls go through its own transport, so give it this one.
            confidence: How sure an answer must be.
            context: Limits of a run; by default it keeps to its allocation.
            max_subtasks: Plans of more are unusable.
            concurrency: Plans under way at a time.
            timeout_s: Seconds that one plan may take, waiting for its turn left out.

        Raises:
            BadValueError: A bound is no number above 0.
        """
        for name, value in (("concurrency", concurrency), ("timeout_s", timeout_s)):
            if not value > 0:
                raise BadValueError(name, value, "a number above 0")
        self.pool, self.grader, self.transport = pool, grader, transport
        self.decomposer, self.allocator, self.context = decomposer, allocator, context
        self.confidence = confidence or Confidence()
        self.max_subtasks, self.concurrency, self.timeout_s = max_subtasks, concurrency, timeout_s
        self._graph = create_r2_graph(
            pool,
            decomposer=PromptedDecomposer(decomposer, max_samples=1, max_subtasks=max_subtasks, transport=transport),
            allocator=GivenAllocator(allocator),
            confidence=self.confidence,
            transport=transport,
        )
        self._structured = asked_as_json(decomposer)
        self._memo: OrderedDict[tuple[Any, ...], PlanRun] = OrderedDict()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    def run_all(self, requests: Iterable[PlanRequest]) -> list[PlanRun]:
        """Run plans at once, from a thread that has no event loop; their runs in the same order."""
        return asyncio.run(self.arun_all(requests))

    async def arun_all(
        self, requests: Iterable[PlanRequest], done: Callable[[PlanRun], Any] | None = None
    ) -> list[PlanRun]:
        """Run plans at once, and tell of each when it has ended."""

        async def one(request: PlanRequest) -> PlanRun:
            ended = await self.run(request)
            if done is not None:
                done(ended)
            return ended

        return list(await asyncio.gather(*(one(request) for request in requests)))

    async def run(self, request: PlanRequest) -> PlanRun:
        """Run a plan.

        Raises:
            ConfigurationError: Wrong use, such as a model that the pool does not have.
        """
        usable = self._read(request)
        if isinstance(usable, PlanRun):
            return usable
        turns = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.concurrency))
        async with turns:
            key = key_of(request)
            if key in self._memo:  # rollouts of one group are often equal: the same run gives the same
                self._memo.move_to_end(key)
                return self._memo[key]
            started = time.perf_counter()
            try:
                async with asyncio.timeout(self.timeout_s):
                    state = await self._invoked(request)
                    ended = await self._told(request, usable, state, time.perf_counter() - started)
                    return self._kept(key, ended)
            except ConfigurationError:
                raise
            except TimeoutError:
                problem = f"it took more than {self.timeout_s:g} s"
            except (R2Error, OSError) as error:
                problem = f"{type(error).__name__}: {error}"
            wall_s = time.perf_counter() - started
            return PlanRun(
                status="failed", plan=usable.subtasks, parse=usable.parse, cost_usd=None, error=problem, wall_s=wall_s
            )

    def _kept(self, key: tuple[Any, ...], ended: PlanRun) -> PlanRun:
        if ended.status in {"right", "wrong"}:
            self._memo[key] = ended
            if len(self._memo) > _MOST_KEPT:
                self._memo.popitem(last=False)
        return ended

    def _read(self, request: PlanRequest) -> _Usable | PlanRun:
        """The plan as the graph will read it, or why nothing can be run."""
        parsed = parse_plan(request.plan.text, max_subtasks=self.max_subtasks, structured=self._structured)
        if parsed.problem:
            return self._unusable(parsed.outcome, parsed.problem, [])
        given = request.allocation
        if isinstance(given, Mapping):
            lacking = [s["id"] for s in parsed.subtasks if given.get(s["id"]) not in self.pool]
            if lacking:
                raise BadValueError("allocation", given, self.pool.names, f"Subtask {lacking[0]!r} has none of them.")
            return _Usable(parsed.subtasks, parsed.outcome)
        if given is None:
            return _Usable(parsed.subtasks, parsed.outcome)
        if self.allocator is None:
            raise BadValueError("allocation", "a reply", "model names", "This runner has no allocator to read it.")
        aliases = [card.alias for card in self.allocator.cards(request.item.query)]
        numbers = [str(number) for number in range(1, len(parsed.subtasks) + 1)]
        structured = self.allocator.coverage is None and asked_as_json(self.allocator.spec)
        read = parse_allocation(given.text, subtask_ids=numbers, aliases=aliases, structured=structured)
        if read.problem:
            return self._unusable(read.outcome, read.problem, parsed.subtasks)
        return _Usable(parsed.subtasks, read.outcome)

    def _unusable(self, parse: ParseOutcome, problem: str, plan: list[Subtask]) -> PlanRun:
        return PlanRun(status="unusable", parse=parse, error=problem, plan=plan)

    async def _invoked(self, request: PlanRequest) -> dict[str, Any]:
        """Run the graph in a context of its own, where the router's replies are those given."""
        replies = {"decomposer": request.plan}
        config: RunnableConfig = {"configurable": {}}
        if isinstance(request.allocation, Stored):
            replies["allocator"] = request.allocation
        elif request.allocation is not None:
            config["configurable"][_GIVEN] = request.allocation
        held = REPLAYED.set(replies), REPETITION.set(request.repetition)
        try:
            return await self._graph.ainvoke({"query": request.item.query}, config, context=self.context)
        finally:
            REPLAYED.reset(held[0])
            REPETITION.reset(held[1])

    async def _told(self, request: PlanRequest, usable: _Usable, state: dict[str, Any], wall_s: float) -> PlanRun:
        attempts: list[Attempt] = state["attempts"]
        total = bill(attempts)
        status, problem = await self._judged(request.item, state)
        return PlanRun(
            status=status,
            answer=state["answer"],
            cost_usd=total.cost_usd,
            router_usd=bill(a for a in attempts if a["role"] in ROUTER_ROLES).cost_usd,
            tokens=total.input_tokens + total.output_tokens,
            plan=usable.subtasks,
            parse=usable.parse,
            allocation=state["allocation"]["models"],
            attempts=attempts,
            results=state["results"],
            error=problem,
            wall_s=wall_s,
        )

    async def _judged(self, item: TrainItem, state: dict[str, Any]) -> tuple[RunStatus, str | None]:
        if state["answer"]:
            grade = await graded(self.grader, state["answer"], item.as_item())
            if grade.score is None:
                return "ungradable", grade.reason
            if grade.score >= 1:
                return "right", None
        errors = [a["error_type"] for a in state["attempts"] if a["error_type"]]
        if errors or state["status"] == "budget_exhausted":  # the pool failed, not the plan
            return "failed", errors[0] if errors else "budget_exhausted"
        return "wrong", state["error"]
