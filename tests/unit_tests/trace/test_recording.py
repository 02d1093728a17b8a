"""Recording: what is kept of a run is its own, goes with it, and is off where it is not asked for."""

import gc
import tracemalloc
import weakref
from typing import Any

from langchain_core.callbacks import CallbackManager

from langchain_r2.edges import _watched
from langchain_r2.run_record import run_record
from langchain_r2.trace import PromptKeeper
from langchain_r2.transport.spans import watched


def recorded(graph: Any, number: int) -> tuple[Any, PromptKeeper]:
    prompts = PromptKeeper()
    state = graph.invoke({"query": f"query {number} " + "x" * 2000}, {"callbacks": [prompts]})
    return prompts.add_to(run_record(state, id=str(number), wall_s=1.0)), prompts


def test_nothing_of_a_run_is_kept_when_it_has_gone(make: Any) -> None:
    made = make(lambda prompt: "answer: 1")
    graph = made.graph

    def one(number: int) -> "weakref.ref[PromptKeeper]":
        record, keeper = recorded(graph, number)
        assert sum("prompt" in row for row in record["attempts"]) == 2
        assert str(number) in record["attempts"][0]["prompt"]  # its own, no other run's
        return weakref.ref(keeper)

    keepers = [one(number) for number in range(3)]
    gc.collect()
    assert [keeper() for keeper in keepers] == [None, None, None]


def test_memory_does_not_grow_with_the_number_of_runs(make: Any) -> None:
    made = make(lambda prompt: "answer: 1")

    def held_after(runs: range) -> int:
        for number in runs:
            recorded(made.graph, number)
            for chat in (made.router, *(spec.model for spec in made.pool.models)):
                chat.call_history.clear()  # the doubles remember their calls
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = held_after(range(30))  # caches fill
        after = held_after(range(30, 130))
    finally:
        tracemalloc.stop()
    assert after - before < 100 * 1000, "a run's prompts alone are 4 kB"


def test_without_a_recorder_a_run_has_no_prompts(make: Any) -> None:
    state = make(lambda prompt: "answer: 1").graph.invoke({"query": "q"})
    assert all("prompt" not in row for row in run_record(state, id="1", wall_s=1.0)["attempts"])


def test_a_recorder_alone_does_not_make_steps_be_traced() -> None:
    """It asks for the start of model calls only; events that nobody takes cost time all the same."""
    config: Any = {"callbacks": CallbackManager([PromptKeeper()])}
    assert not _watched(config)
    assert watched(config, lambda *_: 1.0, ("a key that is long",)) is config
