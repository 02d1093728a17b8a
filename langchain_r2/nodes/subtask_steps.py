"""The steps of a subtask: nodes and the edges between them, compiled as a LangGraph graph or walked one by one.

One subtask is at one node at a time, so nothing that a superstep is for happens in it. Walking makes the same nodes and
edges cost a tenth of a compiled graph's run, which is more than a model call's own overhead. Where somebody traces the
run, each step is a run of its own in the trace, as LangGraph would make it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from langchain_r2.flow import Flow, Invoke, arun, run
from langchain_r2.nodes.base import Node, SubtaskContext
from langchain_r2.state import SubtaskState

Edge = Callable[[SubtaskState], str]
"""From the state to the name of the next node; its return type lists the names."""

SubtaskGraph = CompiledStateGraph[SubtaskState, SubtaskContext, SubtaskState, SubtaskState]


class SubtaskSteps(NamedTuple):
    """What one subtask runs: try, judge, change the model or the plan."""

    nodes: Mapping[str, Node]
    edges: Mapping[str, str | Edge]
    """Per node (and ``START``) the one after it, or the decision between several."""

    def compiled(self) -> SubtaskGraph:
        """As a LangGraph graph: to be drawn, and to be run where every step shall be seen as one of LangGraph's."""
        builder = StateGraph(SubtaskState, SubtaskContext)
        for name, node in self.nodes.items():
            builder.add_node(name, node)
        for name, edge in self.edges.items():
            if isinstance(edge, str):
                builder.add_edge(name, edge)
            else:
                builder.add_conditional_edges(name, edge)
        return builder.compile(name="subtask")

    def walk(self, state: SubtaskState, context: SubtaskContext, config: RunnableConfig) -> Flow[SubtaskState]:
        """Run from ``START`` to ``END``; what a node returns takes the place of the state's values."""
        runtime: Runtime[Any] = Runtime(context=context, store=context.store)
        walked: dict[str, Any] = {**state}
        at = START
        while True:
            edge = self.edges[at]
            at = edge if isinstance(edge, str) else edge(walked)  # type: ignore[arg-type]
            if at == END:
                return walked  # type: ignore[return-value]
            node = self.nodes[at]
            if _observed(config):
                walked |= yield Invoke(_step(node, runtime), walked, config)
            else:
                walked |= yield from node.work(walked, runtime, config)


def _observed(config: RunnableConfig) -> bool:
    """Whether anything listens to the run: a tracer, a stream of messages, a user's own handler."""
    callbacks = config.get("callbacks")
    return bool(callbacks if isinstance(callbacks, list) else callbacks and callbacks.handlers)


def _step(node: Node, runtime: Runtime[Any]) -> RunnableLambda[Any, Any]:
    def step(state: dict[str, Any], config: RunnableConfig) -> Any:  # noqa: ANN401 - an update of the state
        return run(node.work(state, runtime, config))

    async def astep(state: dict[str, Any], config: RunnableConfig) -> Any:  # noqa: ANN401 - an update of the state
        return await arun(node.work(state, runtime, config))

    return RunnableLambda(step, astep, name=node.name)
