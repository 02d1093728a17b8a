"""What tracers are told of a model call: its cost, and no key, whatever the reply or the error shows."""

import traceback
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tracers.base import BaseTracer
from pydantic import SecretStr

from langchain_r2 import ModelSpec, Price, flow
from langchain_r2.ledger import Budget
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Call, Outcome, Transport
from langchain_r2.transport.spans import annotate, watched

KEY = "canary-5f3a9c1b7d2e"


class Keyed(ScriptedChatModel):
    """A scripted chat model with a key."""

    key: SecretStr = SecretStr(KEY)


class Tracer(BaseTracer):
    """Keeps runs as they are when they end, which is when others send them."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.told.append(run)


class Listener(BaseCallbackHandler):
    """Keeps the error that it is told, as tracers show it."""

    shown = ""

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.shown = "".join(traceback.format_exception(error)) + repr(error)


async def outcome(script: Any, way: str, tracer: Any, price: float = 2.0) -> Outcome:
    spec = ModelSpec(name="m", model=Keyed(script=script), price=Price(input=price, output=price))
    config: Any = {"callbacks": [tracer]}
    call = Call(spec=spec, prompt=Prompt("one two"), role="executor", budget=Budget(1.0), config=config, tries_before=2)
    made = Transport(max_tries=1).call(call)
    return flow.run(made) if way == "sync" else await flow.arun(made)


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
async def test_a_reply_has_its_cost_and_no_key(way: str) -> None:
    tracer, said = Tracer(), scripted_message(f"answer: {KEY}", "one two")
    made = await outcome([said], way, tracer)
    (run,) = tracer.told
    assert run.extra["metadata"]["r2_cost_usd"] == made.attempts[0]["cost_usd"] == pytest.approx(8e-6)
    assert run.extra["metadata"]["r2_attempt"] == 3
    assert KEY not in str(run.outputs)
    assert "[hidden]" in str(run.outputs)
    assert str(8e-06) in str(run.outputs)
    assert said.text == f"answer: {KEY}"  # the model's own message is as it was
    assert "r2_cost_usd" not in said.response_metadata


@WAYS
async def test_an_error_shows_no_key_and_has_what_it_may_have_cost(way: str) -> None:
    try:
        raise OSError(f"no route for {KEY}")
    except OSError as below:
        error = ValueError(f"bad key {KEY}", {"key": KEY})
        error.__cause__ = below
    tracer, listener = Tracer(), Listener()
    made = await outcome([error], way, tracer)
    assert KEY not in tracer.told[0].error
    assert tracer.told[0].extra["metadata"]["r2_cost_usd"] == made.attempts[0]["cost_usd"] != 0.0
    await outcome([error], way, listener)
    assert "[hidden]" in listener.shown
    assert KEY not in listener.shown
    assert made.error is not None
    assert made.error.__cause__ is None  # its other attributes may show the key


async def test_a_hit_in_a_cache_costs_nothing() -> None:
    hit = scripted_message("answer: 1", "one two")
    assert hit.usage_metadata is not None
    hit.usage_metadata["total_cost"] = 0  # type: ignore[typeddict-unknown-key]
    tracer = Tracer()
    await outcome([hit], "sync", tracer)
    assert tracer.told[0].extra["metadata"]["r2_cost_usd"] == 0.0


def test_without_listeners_nothing_is_added() -> None:
    config: Any = {"tags": ["a"]}
    assert watched(config, lambda *_: 1.0, ()) is config
    annotate(config, {"model": "m"})
    annotate(None, {"model": "m"})
    assert config == {"tags": ["a"]}


def test_runs_that_share_metadata_are_told_apart(make: Any) -> None:
    graph, tracer = make(lambda prompt: AIMessage("answer: 1")).graph, Tracer()
    graph.batch([{"query": "q"}, {"query": "p"}], {"callbacks": [tracer], "metadata": {"team": "blue"}})
    assert len(tracer.told) == 2
    assert all(run.extra["metadata"]["r2_calls"] == 2 for run in tracer.told)
    assert all("r2_status" not in child.extra["metadata"] for run in tracer.told for child in run.child_runs)
