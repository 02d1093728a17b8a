"""How long the event loop is held up while sixteen router queries run on it.

Python's garbage collector stops everything while it looks through all objects that are alive, those of every imported
package among them. That is the application's to change (``gc.freeze()`` once all is imported), so it is shown apart.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks.arithmetic import problems
from tests.benchmarks.endpoint import endpoint_graph, loopback_server
from tests.benchmarks.measure import Result
from tests.benchmarks.parallel_plan import NINE, timed_graph

QUERIES: Final = 16
TICK_S: Final = 0.002


def run(*, quick: bool) -> Iterator[Result]:
    """Measure fresh graphs, so that loading models counts too."""
    rounds = 2 if quick else 10
    drawn = [problem.query for problem in islice(problems("validation", seed=6, shard="bench"), QUERIES)]
    numbered = [f"q{number} parts=6" for number in range(QUERIES)]
    with loopback_server(0.01) as address, asyncio.Runner() as runner:
        pools: dict[str, tuple[Callable[[], Any], list[str]]] = {
            "embedded pool": (lambda: create_r2_graph(**embedded_router()), drawn),
            "scripted models": (lambda: timed_graph(NINE), numbered),
            "models behind a server": (lambda: endpoint_graph(address), numbered),
        }
        for name, (make, queries) in pools.items():
            for collector, bar in (("frozen", 0.05), ("as it is", None)):
                runner.run(_longest_held(make(), queries))  # imports what the pool needs
                if collector == "frozen":
                    gc.collect()
                    gc.freeze()
                held = [runner.run(_longest_held(make(), queries)) for _ in range(rounds)]
                gc.unfreeze()
                walls = sorted(wall_s for wall_s, _ in held)
                yield Result(
                    name=f"event loop held up at most, {name}, garbage collector {collector}",
                    value=walls[-1],
                    low=walls[0],
                    high=walls[-1],
                    unit="s",
                    bar=bar,
                    rounds=rounds,
                    details={"median_of_rounds_s": walls[rounds // 2], "own_cpu_s": max(cpu_s for _, cpu_s in held)},
                )


async def _longest_held(graph: Any, queries: list[str]) -> tuple[float, float]:
    """The longest that a sleeper woke up late while the queries ran: seconds, and of its thread's processor time."""
    wall_s = cpu_s = 0.0

    async def tick() -> None:
        nonlocal wall_s, cpu_s
        while True:
            started, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            wall_s = max(wall_s, time.perf_counter() - started - TICK_S)
            cpu_s = max(cpu_s, time.thread_time() - used)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(10 * TICK_S)
    await asyncio.gather(*(graph.ainvoke({"query": query}) for query in queries))
    ticker.cancel()
    return wall_s, cpu_s
