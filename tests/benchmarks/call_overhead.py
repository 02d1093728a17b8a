"""Time per model call: our graph and a hand-written LangGraph chain against the bare openai SDK, on the same calls.

A query makes four calls: plan, allocation, and two subtasks of which the second needs the first. The SDK sends exactly
the requests that the graph sent; the chain sends the same messages through ChatOpenAI, a node per call.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from openai import AsyncOpenAI, OpenAI

from tests.benchmarks import by_hand
from tests.benchmarks.endpoint import asked, endpoint_graph, loopback_server
from tests.benchmarks.measure import Result, Rounds, interleaved, interval, ratio, timed

QUERY: Final = {"query": "q1 chain=2"}


def run(*, quick: bool) -> Iterator[Result]:
    """Measure synchronous and asynchronous calls."""
    rounds = 20 if quick else 300
    with loopback_server() as address:
        graph = endpoint_graph(address)
        state = graph.invoke(QUERY)
        bodies: by_hand.Bodies = asked(address, "bodies")
        assert len(bodies) == len(state["attempts"]) == 4
        yield from _results("sync", interleaved(rounds, _sync_ways(address, bodies, graph), warm_up=5))
        with asyncio.Runner() as runner:
            ways = {
                name: timed(lambda work=work: runner.run(work()))  # type: ignore[misc]
                for name, work in _async_ways(address, bodies, graph).items()
            }
            yield from _results("async", interleaved(rounds, ways, warm_up=5))


def _sync_ways(address: str, bodies: by_hand.Bodies, graph: Any) -> dict[str, Callable[[], float]]:
    chain = by_hand.chain(address, bodies, asynchronous=False)
    client = OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    def bare() -> None:
        for body in bodies:
            client.chat.completions.create(**body)

    return {
        "sdk": timed(bare),
        "chain": timed(lambda: chain.invoke({"answers": []})),
        "ours": timed(lambda: graph.invoke(QUERY)),
    }


def _async_ways(address: str, bodies: by_hand.Bodies, graph: Any) -> dict[str, Callable[[], Awaitable[Any]]]:
    chain = by_hand.chain(address, bodies, asynchronous=True)
    client = AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    async def bare() -> None:
        for body in bodies:
            await client.chat.completions.create(**body)

    return {"sdk": bare, "chain": lambda: chain.ainvoke({"answers": []}), "ours": lambda: graph.ainvoke(QUERY)}


def _results(kind: str, seconds: Rounds) -> Iterator[Result]:
    per_call = {f"{name}_ms": statistics.median(values) / 4 * 1e3 for name, values in seconds.items()}
    count = len(seconds["sdk"])
    for name, way, bar in (("our graph", "ours", 3.0), ("hand-written LangGraph chain", "chain", None)):
        yield Result(
            name=f"time per model call over the bare openai SDK, {kind}, {name}",
            **interval(ratio, seconds[way], seconds["sdk"]),
            unit="x",
            bar=bar,
            rounds=count,
            details=per_call if bar else {},
        )
