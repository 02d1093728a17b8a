"""Plans on models that take a known time: how far a run's wall time is above the plan's critical path."""

import asyncio
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableLambda

from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel
from langchain_r2.types import Allocation
from tests.benchmarks import by_hand
from tests.benchmarks.measure import Result, interleaved, interval, ratio, timed

Needs = Mapping[str, tuple[int, list[str]]]
"""Per subtask its milliseconds and the ids that it needs."""

NINE: Final[Needs] = {
    "1": (50, []),
    "2": (200, []),
    "3": (120, ["1"]),
    "4": (80, ["1"]),
    "5": (150, ["3"]),
    "6": (60, ["2", "4"]),
    "7": (100, ["4"]),
    "8": (180, ["6"]),
    "9": (70, ["5", "7", "8"]),
}
INDEPENDENT: Final[Needs] = {str(n): (100, []) for n in range(1, 33)}


def run(*, quick: bool) -> Iterator[Result]:
    """Measure both plans, with threads and on an event loop; the wide one's calls also in the leanest graph."""
    rounds = 5 if quick else 40
    with asyncio.Runner() as runner:
        for name, needs, bar in (("nine subtasks", NINE, 1.10), ("32 independent subtasks", INDEPENDENT, 1.25)):
            ways = _ways(timed_graph(needs), {"query": "go"}, runner)
            if needs is INDEPENDENT:
                least = by_hand.wide(_sleeper(100).chat_model(), len(needs))
                ways |= {f"{kind}, by hand": way for kind, way in _ways(least, {"answers": []}, runner).items()}
            path_s = critical_path_s(needs)
            for kind, seconds in interleaved(rounds, {k: timed(way) for k, way in ways.items()}).items():
                yield Result(
                    name=f"{name} over the critical path, {kind}",
                    **interval(ratio, seconds, [path_s] * rounds),
                    unit="x",
                    bar=None if "by hand" in kind else bar,
                    rounds=rounds,
                    details={"path_ms": path_s * 1e3, "run_ms": statistics.median(seconds) * 1e3},
                )


def _ways(graph: Any, state: Mapping[str, Any], runner: asyncio.Runner) -> dict[str, Callable[[], object]]:
    return {"sync": lambda: graph.invoke(state), "async": lambda: runner.run(graph.ainvoke(state))}


def critical_path_s(needs: Needs) -> float:
    """The longest way through a plan."""
    ends: dict[str, int] = {}
    for id_, (milliseconds, before) in needs.items():
        ends[id_] = milliseconds + max((ends[b] for b in before), default=0)
    return max(ends.values()) / 1e3


def timed_graph(needs: Needs) -> Any:
    """A router graph whose models sleep: a model per duration, and every subtask given to the one of its own."""
    pool = ModelPool([_sleeper(ms) for ms in sorted({ms for ms, _ in needs.values()})])
    lines = [f"{id_}: do {' '.join(f'#{b}' for b in before)}" for id_, (_, before) in needs.items()]
    planner = ScriptedChatModel(script=["\n".join(lines)])
    router = ModelSpec(name="router", model=planner, price=Price(input=0.0, output=0.0))
    models = {id_: f"sleeps-{ms}" for id_, (ms, _) in needs.items()}

    def allocate(value: AllocatorInput) -> AllocatorOutput:
        allocation = Allocation(models=models, reasons=dict.fromkeys(models, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=[])

    return create_r2_graph(pool, decomposer=PromptedDecomposer(router), allocator=RunnableLambda(allocate))


def _sleeper(milliseconds: int) -> ModelSpec:
    model = ScriptedChatModel(script=["answer: 7"], delay_s=milliseconds / 1e3)
    return ModelSpec(name=f"sleeps-{milliseconds}", model=model, price=Price(input=0.0, output=0.0))
