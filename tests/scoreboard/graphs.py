"""Router graphs on models behind the fault server, and one way to run them for each of sync, async and streamed."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from langchain_core.runnables import RunnableConfig

from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
from langchain_r2.flow import Flow
from langchain_r2.routers.base import DecomposerInput, DecomposerOutput, FlowRunnable
from langchain_r2.routers.baselines import cheapest
from langchain_r2.transport import Transport
from langchain_r2.types import Plan, Subtask
from tests.scoreboard.fault_server import INPUT_USD, OUTPUT_USD

Mode = Literal["sync", "async", "sync streamed", "async streamed"]
MODES: Final[tuple[Mode, ...]] = ("sync", "async", "sync streamed", "async streamed")
PRICE: Final = Price(input=INPUT_USD, output=OUTPUT_USD)
_PARTS: Final = re.compile(r"\bparts=(\d+)")
_WORD: Final = re.compile(r"\bid=(\w+)")


class Parts(FlowRunnable[DecomposerInput, DecomposerOutput]):
    """Plans without a model: as many independent subtasks as ``parts=N`` in the query says, each with its own id."""

    def flow(self, value: DecomposerInput, config: RunnableConfig) -> Flow[DecomposerOutput]:
        del config
        yield from ()  # a flow is a generator
        query = value["query"]
        parts, word = _PARTS.search(query), _WORD.search(query)
        texts = [f"part id={word[1]}p{n}" for n in range(1, int(parts[1]) + 1)] if parts and word else ["#query"]
        subtasks = [Subtask(id=f"{n}", text=text, depends_on=[]) for n, text in enumerate(texts, 1)]
        return DecomposerOutput(plan=Plan(subtasks=subtasks, parse="clean", confidence=None, rejected=[]), attempts=[])


def spec(url: str, name: str, **fields: Any) -> ModelSpec:
    """A model behind the server."""
    chosen = {"name": name, "model": name, "base_url": url, "price": PRICE, "prompt_style": "bare", **fields}
    return ModelSpec(**{"max_output_tokens": 64, **chosen})


def graph_of(models: Sequence[ModelSpec], **options: Any) -> Any:
    """A router graph; every subtask starts at the first model."""
    pool = ModelPool(models)
    transport = Transport(max_tries=3, first_delay_s=0.05)
    chosen = {"decomposer": Parts(), "allocator": cheapest(pool), "transport": transport, **options}
    return create_r2_graph(pool, **chosen)


def ask(graph: Any, query: str, mode: Mode, **options: Any) -> dict[str, Any]:
    """Run a query; streamed modes let LangChain stream the models under the graph."""
    if mode.startswith("async"):
        return asyncio.run(aask(graph, query, mode, **options))
    if mode == "sync":
        output: dict[str, Any] = graph.invoke({"query": query}, **options)
        return output
    stream = graph.stream({"query": query}, stream_mode=["messages", "values"], **options)
    return dict([value for kind, value in stream if kind == "values"][-1])


async def aask(graph: Any, query: str, mode: Mode = "async", **options: Any) -> dict[str, Any]:
    """Run a query on the running event loop."""
    if mode == "async":
        output: dict[str, Any] = await graph.ainvoke({"query": query}, **options)
        return output
    stream = graph.astream({"query": query}, stream_mode=["messages", "values"], **options)
    return dict([value async for kind, value in stream if kind == "values"][-1])
