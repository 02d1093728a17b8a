"""What a tracer sees of a run: every step and decision of every subtask, the model calls inside them."""

from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_r2 import R2Context


class Recorder(BaseCallbackHandler):
    """Keeps the names of runs by their ids, and whose child each is."""

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.parents: dict[UUID, UUID | None] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id], self.parents[run_id] = kwargs.get("name") or "", kwargs.get("parent_run_id")

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.on_chain_start(serialized, messages, run_id=run_id, **kwargs)

    def path(self, name: str) -> list[str]:
        """Names of a run and of those that it is inside of, innermost first."""
        at: UUID | None = next(id_ for id_, named in self.names.items() if named == name)
        names = []
        while at is not None:
            names.append(self.names[at])
            at = self.parents[at]
        return names


@pytest.mark.parametrize("execution", ["tasks", "send"])
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_every_step_is_in_the_trace(make: Any, says: Any, execution: str, way: str) -> None:
    graph = make(says("a", 0.1), says("b", 0.9), execution=execution).graph
    seen, limits = Recorder(), R2Context(max_replans=0)
    if way == "sync":
        graph.invoke({"query": "q"}, {"callbacks": [seen]}, context=limits)
    else:
        await graph.ainvoke({"query": "q"}, {"callbacks": [seen]}, context=limits)
    steps = [n for n in seen.names.values() if n in {"execute_subtask", "reallocate_upward"}]
    assert steps == ["execute_subtask", "reallocate_upward", "execute_subtask"]
    assert [n for n in seen.names.values() if n in {"reconsider", "assess"}] == ["reconsider", "assess", "assess"]
    path = seen.path("executor:m2")
    assert path[1] == "execute_subtask"
    assert ("execute_plan" in path) == (execution == "tasks")
    assert path[-1] == "r2"


async def test_a_stream_of_subgraphs_shows_the_subtask_graphs_own_nodes(make: Any, says: Any) -> None:
    graph = make(says("a", 0.1), says("b", 0.9)).graph
    limits = R2Context(max_replans=0)
    seen = [
        name
        async for _, update in graph.astream({"query": "q"}, context=limits, stream_mode="updates", subgraphs=True)
        for name in update
    ]
    assert [n for n in seen if n in {"execute_subtask", "reallocate_upward"}] == [
        "execute_subtask",
        "reallocate_upward",
        "execute_subtask",
    ]
