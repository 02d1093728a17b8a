"""64 queries at once, eight calls each, against a LangGraph graph written by hand that makes the same calls.

The calls of a query: a plan, an allocation, six independent subtasks. The hand-written graph has a node per step and
sends the six at once (``Send``), which is the fewest supersteps that LangGraph can do it in. Both speak through
ChatOpenAI to the loopback server, with the same messages and options.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from tests.benchmarks import by_hand
from tests.benchmarks.endpoint import asked, endpoint_graph, loopback_server
from tests.benchmarks.measure import Result, interleaved, interval, ratio, timed

AT_ONCE: Final = 64
CALLS: Final = 8
DELAY_S: Final = 0.02
"""How long the server takes to answer."""


def run(*, quick: bool) -> Iterator[Result]:
    """Measure queries per second of both."""
    rounds = 3 if quick else 20
    with loopback_server(DELAY_S) as address, asyncio.Runner() as runner:
        graph = endpoint_graph(address)
        state = graph.invoke({"query": f"q1 parts={CALLS - 2}"})
        bodies: by_hand.Bodies = asked(address, "bodies")
        assert len(bodies) == len(state["attempts"]) == CALLS
        fan = by_hand.fan(address, bodies)

        async def ours() -> None:
            await asyncio.gather(*(graph.ainvoke({"query": f"q{n} parts={CALLS - 2}"}) for n in range(AT_ONCE)))

        async def theirs() -> None:
            await asyncio.gather(*(fan.ainvoke({"answers": []}) for _ in range(AT_ONCE)))

        def way(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], float]:
            return timed(lambda: runner.run(work()))

        seconds = interleaved(rounds, {"ours": way(ours), "by hand": way(theirs)})
        yield Result(
            name=f"{AT_ONCE} queries at once of {CALLS} calls, queries per second over a hand-written graph",
            **interval(ratio, seconds["by hand"], seconds["ours"]),
            unit="x",
            bar=1.0,
            need="at least",
            rounds=rounds,
            details={name.replace(" ", "_") + "_qps": AT_ONCE / min(values) for name, values in seconds.items()},
        )
