"""The router graph as a part of other things: a tool, a node, a subagent."""

from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain_core._api import LangChainBetaWarning
from langchain_core.messages import AIMessage, HumanMessage, ToolCall
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_supervisor import create_supervisor

from langchain_r2 import create_r2_graph
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.testing import ScriptedChatModel, scripted_pool


class Calling(ScriptedChatModel):
    """Calls the tools that its script says."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def graph_of(text: str = "answer: 42") -> Any:
    pool = scripted_pool([text])
    return create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), name="r2_router")


def test_as_a_tool() -> None:
    with pytest.warns(LangChainBetaWarning):
        made = graph_of().as_tool(name="ask_r2", description="Answers questions.", arg_types={"query": str})

    assert made.name == "ask_r2"
    assert made.invoke({"query": "what ?"})["answer"] == "42"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_as_a_node_of_another_graph(asynchronous: bool) -> None:
    outer = StateGraph(MessagesState)
    outer.add_node("route", graph_of())
    outer.add_edge(START, "route")
    outer.add_edge("route", END)
    app: Any = outer.compile()
    value = {"messages": [HumanMessage("what ?")]}

    output = await app.ainvoke(value) if asynchronous else app.invoke(value)

    assert [m.text for m in output["messages"]] == ["what ?", "42"]


def test_as_a_subagent_of_deepagents() -> None:
    call = ToolCall(name="task", args={"description": "what ?", "subagent_type": "r2"}, id="1", type="tool_call")
    model = Calling(script=[AIMessage("", tool_calls=[call]), "done"])
    member: Any = {"name": "r2", "description": "answers", "runnable": graph_of()}

    output = create_deep_agent(model, subagents=[member]).invoke({"messages": [HumanMessage("go")]})

    assert [m.text for m in output["messages"] if m.type == "tool"] == ["42"]
    assert output["messages"][-1].text == "done"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")  # langgraph-supervisor 0.0.31 itself calls it
async def test_as_a_member_of_a_supervisor(asynchronous: bool) -> None:
    call = ToolCall(name="transfer_to_r2_router", args={}, id="1", type="tool_call")
    model = Calling(script=[AIMessage("", tool_calls=[call]), "It is 42."])
    app = create_supervisor([graph_of()], model=model).compile()
    value = {"messages": [HumanMessage("what ?")]}

    output = await app.ainvoke(value) if asynchronous else app.invoke(value)

    said = [(m.type, m.text) for m in output["messages"] if m.text and m.type in {"human", "ai"}]
    assert said[0] == ("human", "what ?")
    assert ("ai", "42") in said
    assert said[-1] == ("ai", "It is 42.")
