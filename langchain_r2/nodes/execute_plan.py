"""Node ``execute_plan``: all subtasks of the plan, each as soon as what it needs is there.

Every subtask is a LangGraph task that is called up front, in topological order, and waits inside itself: a finished one
never waits for a slow sibling (supersteps would be barriers), and a resumed run matches results by that fixed order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.func import task
from langgraph.runtime import Runtime, get_runtime

from langchain_r2.flow import Flow, arun, run
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

        @task
        def subtask(id_: str) -> SubtaskResult:
            return run(plan.subtask(id_, {d: futures[d].result() for d in ancestors(state["plan"]["subtasks"], id_)}))

        for row in state["plan"]["subtasks"]:
            futures[row["id"]] = subtask(row["id"])
        return _update(state, [future.result() for future in futures.values()])

    async def aexecute_plan(state: R2State) -> R2Update:
        subtask_graph = graph  # named in this body, so that drawing with xray finds it
        plan = await arun(plan_run(needs, subtask_graph, state, get_runtime()))
        futures: dict[str, Any] = {}

        @task
        async def subtask(id_: str) -> SubtaskResult:
            done = {d: await asyncio.shield(futures[d]) for d in ancestors(state["plan"]["subtasks"], id_)}
            return await arun(plan.subtask(id_, done))

        for row in state["plan"]["subtasks"]:
            futures[row["id"]] = subtask(row["id"])
            await asyncio.sleep(0)  # a long plan, or many queries at once, must not hold the event loop up
        return _update(state, list(await asyncio.gather(*futures.values())))

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
    limits = limits_of(runtime)
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


def _update(state: R2State, results: list[SubtaskResult]) -> R2Update:
    rows = [attempt for result in results for attempt in result["attempts"]]
    return R2Update(results=results, attempts=[*state["attempts"], *rows])
