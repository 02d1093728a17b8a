"""The steps of a subtask: walked and compiled, they do the same."""

from typing import Any, Literal

import pytest
from langchain_core.runnables import RunnableConfig

from langchain_r2.config import R2Context
from langchain_r2.flow import Flow, run
from langchain_r2.ledger import Budget
from langchain_r2.nodes.base import Node, SubtaskContext
from langchain_r2.nodes.subtask_steps import SubtaskSteps


@pytest.mark.parametrize("tries", [1, 3])
def test_walking_ends_where_the_compiled_graph_ends(tries: int) -> None:
    def attempt(state: Any, runtime: Any, config: RunnableConfig) -> Flow[Any]:
        yield from ()
        return {"tries": state["tries"] + 1, "model": runtime.context.limits.max_attempts}

    def climb(state: Any, runtime: Any, config: RunnableConfig) -> Flow[Any]:
        yield from ()
        return {"direction": f"{state['direction']}>"}

    def enough(state: Any) -> Literal["climb", "__end__"]:
        return "__end__" if state["tries"] >= tries else "climb"

    steps = SubtaskSteps(
        nodes={"attempt": Node(attempt, "attempt"), "climb": Node(climb, "climb")},
        edges={"__start__": "attempt", "attempt": enough, "climb": "attempt"},
    )
    state: Any = {"id": "1", "tries": 0, "direction": "", "model": ""}
    context = SubtaskContext(limits=R2Context(max_attempts=9), budget=Budget(None), emit=lambda _: None)
    walked = run(steps.walk(state, context, {}))
    assert walked == {"id": "1", "tries": tries, "direction": ">" * (tries - 1), "model": 9}
    assert steps.compiled().invoke(state, context=context) == walked
    assert state["tries"] == 0
