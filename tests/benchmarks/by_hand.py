"""LangGraph graphs as one writes them by hand, making the calls that our graph made: what we compare with."""

import operator
from itertools import pairwise
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import SecretStr
from typing_extensions import TypedDict

Bodies = list[dict[str, Any]]
"""Requests as the server got them."""


class Made(TypedDict):
    """State: what the models said."""

    answers: Annotated[list[str], operator.add]


class Sent(TypedDict):
    """What one worker is sent."""

    number: int


def chain(address: str, bodies: Bodies, *, asynchronous: bool) -> Any:
    """A node per call, one after the other."""
    builder = StateGraph(Made)
    names = [START, *(f"call_{number}" for number in range(len(bodies))), END]
    for name, body in zip(names[1:-1], bodies, strict=True):
        builder.add_node(name, (_async_node if asynchronous else _node)(address, body))
    for before, after in pairwise(names):
        builder.add_edge(before, after)
    return builder.compile()


def fan(address: str, bodies: Bodies) -> Any:
    """The first two calls one after the other, all others at once by ``Send``, then a step that joins; asynchronous."""
    workers = [_async_node(address, body) for body in bodies[2:]]
    builder = StateGraph(Made)
    builder.add_node("plan", _async_node(address, bodies[0]))
    builder.add_node("allocate", _async_node(address, bodies[1]))

    async def work(state: Sent) -> dict[str, Any]:
        made: dict[str, Any] = await workers[state["number"]](state)
        return made

    def join(state: Made) -> dict[str, Any]:
        return {"answers": ["\n".join(state["answers"])]}

    def spread(_: Made) -> list[Send]:
        return [Send("work", Sent(number=number)) for number in range(len(workers))]

    builder.add_node("work", work, input_schema=Sent)
    builder.add_node("join", join)
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "allocate")
    builder.add_conditional_edges("allocate", spread, ["work"])
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder.compile()


def wide(model: BaseChatModel, count: int) -> Any:
    """One call, so many times at once by ``Send``, and nothing else."""
    builder = StateGraph(Made)

    def work(_: Sent) -> dict[str, Any]:
        return {"answers": [str(model.invoke("go").text)]}

    async def awork(_: Sent) -> dict[str, Any]:
        return {"answers": [str((await model.ainvoke("go")).text)]}

    def spread(_: Made) -> list[Send]:
        return [Send("work", Sent(number=number)) for number in range(count)]

    builder.add_node("work", RunnableLambda(work, awork), input_schema=Sent)
    builder.add_conditional_edges(START, spread, ["work"])
    builder.add_edge("work", END)
    return builder.compile().with_config(max_concurrency=256)


def _node(address: str, body: dict[str, Any]) -> Any:
    """A request as a node that waits in its thread."""
    model, prompt, options = _client(address, body)

    def call(_: Made) -> dict[str, Any]:
        return {"answers": [str(model.invoke(prompt, **options).text)]}

    return call


def _async_node(address: str, body: dict[str, Any]) -> Any:
    """A request as a node that waits on the event loop."""
    model, prompt, options = _client(address, body)

    async def call(_: Made) -> dict[str, Any]:
        return {"answers": [str((await model.ainvoke(prompt, **options)).text)]}

    return call


def _client(address: str, body: dict[str, Any]) -> tuple[ChatOpenAI, list[tuple[str, str]], dict[str, Any]]:
    """A request as a chat model, its messages and its options."""
    options = {key: value for key, value in body.items() if key not in {"messages", "model", "stream"}}
    model = ChatOpenAI(model=body["model"], base_url=f"{address}/v1", api_key=SecretStr("none"), max_retries=0)
    return model, [(m["role"], m["content"]) for m in body["messages"]], options
