"""Node ``execute_plan``: all subtasks of the plan, each as soon as what it needs is there.

Every subtask is a LangGraph task that is called up front, in topological order, and waits inside itself: a finished one
never waits for a slow sibling (supersteps would be barriers), and a resumed run matches results by that fixed order.
A subtask that waits for a person holds up only what needs its answer; when nothing else is left to do, the node stops
with all questions at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.errors import GraphInterrupt
from langgraph.func import task
from langgraph.runtime import Runtime, get_runtime

from langchain_r2.flow import Flow, arun, astopped_or, run, stopped_or, unless_stopped
from langchain_r2.ledger import bill
from langchain_r2.nodes.base import Dependencies, SubtaskContext, limits_of
from langchain_r2.nodes.plan_run import PlanRun
from langchain_r2.parsing import ancestors
from langchain_r2.state import R2State, R2Update
from langchain_r2.types import SubtaskResult


def execute_plan_node(needs: Dependencies, graph: Runnable[Any, Any]) -> "ExecutePlan":
    """Make the node around the compiled subtask graph."""

    def execute_plan(state: R2State) -> R2Update:
        subtask_graph = graph  # named in this body, so that drawing with xray finds it
        plan = run(plan_run(needs, subtask_graph, state, get_runtime()))
        futures: dict[str, Any] = {}
        kept = {result["id"]: result for result in state["results"]}

        @task
        def subtask(id_: str) -> SubtaskResult:
            needed = ancestors(state["plan"]["subtasks"], id_)
            done = {d: kept[d] if d in kept else stopped_or(futures[d].result) for d in needed}
            return run(plan.subtask(id_, unless_waiting(done)))

        for id_ in (row["id"] for row in state["plan"]["subtasks"] if row["id"] not in kept):
            futures[id_] = subtask(id_)
        made = unless_stopped([stopped_or(future.result) for future in futures.values()])
        return _update(state, kept, made)

    async def aexecute_plan(state: R2State) -> R2Update:
        subtask_graph = graph  # named in this body, so that drawing with xray finds it
        plan = await arun(plan_run(needs, subtask_graph, state, get_runtime()))
        futures: dict[str, Any] = {}
        kept = {result["id"]: result for result in state["results"]}

        @task
        async def subtask(id_: str) -> SubtaskResult:
            needed = ancestors(state["plan"]["subtasks"], id_)
            done = {d: kept[d] if d in kept else await astopped_or(asyncio.shield(futures[d])) for d in needed}
            return await arun(plan.subtask(id_, unless_waiting(done)))

        for id_ in (row["id"] for row in state["plan"]["subtasks"] if row["id"] not in kept):
            futures[id_] = subtask(id_)
            await asyncio.sleep(0)  # a long plan, or many queries at once, must not hold the event loop up
        made = unless_stopped(await asyncio.gather(*(astopped_or(future) for future in futures.values())))
        return _update(state, kept, made)

    return ExecutePlan(execute_plan, aexecute_plan)


class ExecutePlan(RunnableLambda[Any, Any]):
    """The node; a runnable of its own only so that it adds no level to traces."""

    def __init__(self, work: Callable[[R2State], R2Update], awork: Callable[[R2State], Awaitable[R2Update]]) -> None:
        """Make the node of its two forms."""
        super().__init__(work, awork, name="execute_plan")
        self._work, self._awork = work, awork

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401, ARG002
        """Run with threads."""
        return self._work(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401, ARG002
        """Run on the event loop."""
        return await self._awork(input)


def plan_run(needs: Dependencies, graph: Runnable[Any, Any], state: R2State, runtime: Runtime[Any]) -> Flow[PlanRun]:
    """The run of a state's plan."""
    limits = limits_of(runtime, state)
    budget = yield from needs.budget(state, limits)
    router_usd = bill(state["attempts"]).cost_usd or 0.0
    return PlanRun(
        needs=needs,
        graph=graph,
        context=SubtaskContext(
            limits=limits,
            budget=budget,
            emit=runtime.stream_writer,
            router_usd=router_usd,
            store=runtime.store,
            run_id=needs.recorded(state),
            turn=state.get("turn"),
        ),
        query=state["query"],
        plan=state["plan"],
        allocation=state["allocation"],
        finished={result["id"] for result in state["results"]},
    )


def unless_waiting(needed: Mapping[str, SubtaskResult | GraphInterrupt]) -> dict[str, SubtaskResult]:
    """The results that a subtask needs.

    Raises:
        GraphInterrupt: One waits for a person. It asks nothing itself: who waits for an answer has asked.
    """
    if any(isinstance(result, GraphInterrupt) for result in needed.values()):
        raise GraphInterrupt(())
    return {id_: result for id_, result in needed.items() if not isinstance(result, GraphInterrupt)}


def _update(state: R2State, kept: Mapping[str, SubtaskResult], made: list[SubtaskResult]) -> R2Update:
    """The results in the plan's order, and what was newly paid."""
    by_id = {**kept, **{result["id"]: result for result in made}}
    rows = [attempt for result in made for attempt in result["attempts"]]
    results = [by_id[row["id"]] for row in state["plan"]["subtasks"]]
    return R2Update(results=results, attempts=[*state["attempts"], *rows])
