"""Connections and event loops: what has ended is let go, what is too late is cut off."""

import asyncio
import gc
import time
import warnings
from typing import Any

from langchain_r2 import R2Context
from langchain_r2.transport import Transport
from tests.scoreboard.fault_server import Exchange, FaultServer, chunk, events, head
from tests.scoreboard.graphs import aask, graph_of, spec


def test_connections_of_ended_loops_are_let_go() -> None:
    with FaultServer() as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody closes them in time: their loop has ended
        graph = graph_of([spec(server.url, "m")])
        for _ in range(8):
            asyncio.run(aask(graph, "id=x"))
        gc.collect()
        asyncio.run(asyncio.sleep(0.05))  # the server lets go of its side
        assert len(server.of("m")) == 8
        assert len(server.connections) <= 2


def test_a_deadline_that_comes_together_with_a_chunk_is_kept() -> None:
    async def quick_trickle(exchange: Exchange) -> None:
        first, word = events(exchange, "answer: wrong")[:2]
        await exchange.send(head(kind="text/event-stream") + chunk(first))
        for _ in range(5000):
            await exchange.send(chunk(word))
            await asyncio.sleep(0.001)

    async def ask_often(graph: Any) -> list[float]:
        took = []
        for number in range(25):
            started = time.monotonic()
            limits = R2Context(deadline_s=0.05 + number / 10_000)
            output = await aask(graph, "id=x", "async streamed", context=limits)
            assert output["attempts"][-1]["error_type"] == "DeadlineError"
            took.append(time.monotonic() - started)
        return took

    with FaultServer() as server:
        server.script("m", always=quick_trickle)
        took = asyncio.run(ask_often(graph_of([spec(server.url, "m")], transport=Transport(breaker_failures=1000))))
    assert max(took) < 3  # without it one in a few runs on until the stream ends, five seconds or more
