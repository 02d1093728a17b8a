"""Nodes of ``execution="send"``: every subtask is a node of its own, sent in waves, so that Studio shows each of them.

LangGraph's supersteps are barriers: a wave waits for its slowest subtask, which ``execute_plan`` never does.
"""

from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import Send

from langchain_r2.flow import Flow
from langchain_r2.nodes.base import Dependencies, Node
from langchain_r2.nodes.execute_plan import plan_run
from langchain_r2.parsing import ancestors
from langchain_r2.state import R2State, R2Update, SentSubtask

SUBTASK = "subtask"
"""The node that runs one subtask."""
SCHEDULE = "schedule"
"""The node between two waves."""
DONE = "aggregate"
"""The node after the last wave."""


def ready(state: R2State) -> list[Send] | str:
    """Edge: one :class:`Send` for every subtask whose needs are met, or on to ``aggregate`` when all have run."""
    done = {result["id"] for result in state["results"]}
    waiting = [s for s in state["plan"]["subtasks"] if s["id"] not in done]
    now = [s["id"] for s in waiting if done >= set(s["depends_on"])]
    return [Send(SUBTASK, SentSubtask(run=state, id=id_)) for id_ in now] or DONE


def subtask_node(needs: Dependencies, graph: Runnable[Any, Any]) -> Node:
    """Make the node that runs one subtask, around the compiled subtask graph."""

    def subtask(sent: SentSubtask, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        del config
        state = sent["run"]
        before = {result["id"]: result for result in state["results"]}
        spent = [attempt for result in state["results"] for attempt in result["attempts"]]
        so_far: R2State = {**state, "attempts": [*state["attempts"], *spent]}
        plan = yield from plan_run(needs, graph, so_far, runtime)
        known = {id_: before[id_] for id_ in ancestors(state["plan"]["subtasks"], sent["id"])}
        return R2Update(results=[(yield from plan.subtask(sent["id"], known))])

    return Node(subtask, SUBTASK, graph)


def schedule_node() -> Node:
    """Make the node that a wave ends in; after the last one, it puts the results into the plan's order."""

    def schedule(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        del runtime, config
        yield from ()  # a flow is a generator
        by_id = {result["id"]: result for result in state["results"]}
        if any(s["id"] not in by_id for s in state["plan"]["subtasks"]):
            return R2Update()
        results = [by_id[s["id"]] for s in state["plan"]["subtasks"]]
        rows = [attempt for result in results for attempt in result["attempts"]]
        return R2Update(results=results, attempts=[*state["attempts"], *rows])

    return Node(schedule, SCHEDULE)
