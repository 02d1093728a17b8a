"""A run with every decision in it, for what tracers see: ``python -m tests.integration_tests.traced_run [sync|async]``.

Subtasks 1 to 3 are of one kind: after two good tries the third goes down. Subtask 4 climbs once, then is replanned into
two parts. Prints the run's record. Tracing is switched on, or not, by the environment.
"""

import asyncio
import sys
import time
from typing import Any

from langchain_core.tracers.langchain import wait_for_all_tracers
from pydantic import SecretStr

from langchain_r2 import ModelSpec, Price, create_r2_graph
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.run_record import run_record, to_json
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport

PLAN = "1: add 3 and 4\n2: add 5 and #1\n3: add 6 and #2\n4: prove #3"
PARTS = "1: look at 18\n2: say #1"
KEY = "canary-5f3a9c1b7d2e"
"""The first model's, which it echoes; it also stands in the metadata of the run, under a key's name."""


class KeyedChatModel(ScriptedChatModel):
    """A scripted chat model with a key."""

    key: SecretStr = SecretStr(KEY)


def _answer(prompt: str) -> Any:
    # LangSmith's OTLP exporter takes 100 operations at a time and forgets a span once it ended: when it lags behind a
    # run, what began late has no parent. What is tested here is the tree that we give, so it does not lag.
    wait_for_all_tracers()
    part = "look at" in prompt or "say" in prompt
    said = f"answer: {KEY}" if "look at" in prompt else "answer: 7"
    return scripted_message(said, prompt, 1.0 if part or "prove" not in prompt else 0.1)


def _decompose(prompt: str) -> str:
    return PARTS if "<data>prove" in prompt else PLAN


def _allocate(prompt: str) -> str:
    return "1: a\n2: a" if "look at" in prompt else "1: c\n2: c\n3: c\n4: a"


def traced_graph() -> Any:
    """The graph: three models, of which the third is too dear to climb to."""
    pool = scripted_pool(KeyedChatModel(script=_answer), _answer, _answer, prices=(1.0, 2.0, 900.0))
    price, transport = Price(input=0.001, output=0.001), Transport(max_tries=1)
    plans = ModelSpec(name="planner", model=ScriptedChatModel(script=_decompose), price=price)
    picks = ModelSpec(name="picker", model=ScriptedChatModel(script=_allocate), price=price)
    return create_r2_graph(
        pool,
        decomposer=PromptedDecomposer(plans, transport=transport),
        allocator=PromptedAllocator(picks, pool, shuffle_aliases=False, transport=transport),
        transport=transport,
    )


def main(way: str = "sync") -> None:
    """Run it, and wait until all is sent."""
    graph, query = traced_graph(), {"query": "What is it?"}
    config: Any = {"metadata": {"api_key": KEY, "team": "blue"}}
    started = time.perf_counter()
    state = graph.invoke(query, config) if way == "sync" else asyncio.run(graph.ainvoke(query, config))
    print(to_json(run_record(state, id="1", wall_s=time.perf_counter() - started)))
    wait_for_all_tracers()
    if "opentelemetry.sdk" in sys.modules:
        from opentelemetry.trace import get_tracer_provider

        if flush := getattr(get_tracer_provider(), "force_flush", None):
            flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
