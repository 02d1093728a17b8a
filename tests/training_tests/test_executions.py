"""Executions are made once, and cost the same each time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BudgetError, UnreachableError
from langchain_r2.flow import arun, run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.transport import Call, Outcome
from training.executions import REPETITION, CachedTransport, ExecutionCache, Stored, model_hash


def _call(spec: ModelSpec, text: str = "a b", **settings: Any) -> Call:
    return Call(spec=spec, prompt=Prompt(text), role="executor", budget=Budget(1.0), **settings)


def _made(*replies: Any) -> tuple[ModelSpec, ScriptedChatModel]:
    spec = scripted_pool(list(replies)).cheapest
    assert isinstance(spec.model, ScriptedChatModel)
    return spec, spec.model


def _shown(outcome: Outcome) -> dict[str, Any]:
    return {k: v for k, v in outcome.attempts[0].items() if k != "started_at"}


def test_a_kept_reply_is_billed_in_full_and_not_sent(tmp_path: Path) -> None:
    spec, model = _made("one two three", "other")
    first = run(CachedTransport(ExecutionCache(tmp_path / "c.sqlite")).call(_call(spec)))
    cache = ExecutionCache(tmp_path / "c.sqlite")  # as after a restart
    again = run(CachedTransport(cache).call(_call(spec)))
    assert again.reply == first.reply
    assert _shown(again) == _shown(first)
    assert again.attempts[0]["cost_usd"] == pytest.approx(5e-6)
    assert len(model.call_history) == 1
    assert (cache.spending.calls, cache.spending.sent, cache.spending.spent_usd) == (1, 0, 0.0)
    assert cache.count() == 1


@pytest.mark.parametrize(
    "settings", [{"text": "c"}, {"temperature": 0.7}, {"seed": 1}, {"ordinal": 1}, {"top_logprobs": 3}]
)
def test_what_is_asked_otherwise_is_asked_anew(settings: dict[str, Any]) -> None:
    spec, model = _made("x")
    transport = CachedTransport(ExecutionCache())
    run(transport.call(_call(spec)))
    run(transport.call(_call(spec, **settings)))
    assert len(model.call_history) == 2


def test_each_repetition_has_its_own_executions() -> None:
    spec, model = _made("x", "y")
    transport = CachedTransport(ExecutionCache())
    texts = []
    for repetition in (0, 1, 0, 1):
        held = REPETITION.set(repetition)
        reply = run(transport.call(_call(spec))).reply
        texts.append(reply.text if reply else None)
        REPETITION.reset(held)
    assert texts == ["x", "y", "x", "y"]
    assert len(model.call_history) == 2


async def test_equal_calls_at_once_are_sent_once() -> None:
    spec = scripted_pool(ScriptedChatModel(script=["x"], delay_s=0.02)).cheapest
    assert isinstance(spec.model, ScriptedChatModel)
    cache = ExecutionCache()
    transport = CachedTransport(cache)
    outcomes = await asyncio.gather(*(arun(transport.call(_call(spec))) for _ in range(8)))
    assert {o.attempts[0]["cost_usd"] for o in outcomes} == {3e-6}
    assert len(spec.model.call_history) == 1
    assert (cache.spending.calls, cache.spending.sent) == (8, 1)
    assert cache.spending.spent_usd == pytest.approx(3e-6)


def test_a_failed_call_is_not_kept_and_failed_tries_are_spent_only() -> None:
    spec, model = _made(UnreachableError("down"), UnreachableError("down"), "x")
    cache = ExecutionCache()
    assert run(CachedTransport(cache, max_tries=1).call(_call(spec))).reply is None
    outcome = run(CachedTransport(cache, max_tries=2, first_delay_s=0.0).call(_call(spec)))
    assert len(model.call_history) == 3
    assert len(outcome.attempts) == 1  # as from the cache
    before = cache.spending.now()
    run(CachedTransport(cache).call(_call(spec)))
    assert (cache.spending - before).sent == 0


def test_a_kept_reply_does_not_pass_a_budget_that_its_call_would() -> None:
    spec, _ = _made("x")
    transport = CachedTransport(ExecutionCache())
    run(transport.call(_call(spec)))
    tight = Call(spec=spec, prompt=Prompt("a b"), role="executor", budget=Budget(1e-9))
    with pytest.raises(BudgetError):
        run(transport.call(tight))


def test_a_reply_survives_its_line() -> None:
    kept = Stored("text", 3, 4, 1, "length", (-0.5, -1.0), ({"a": -0.5}, {"b": -1.0}), 0.25)
    assert Stored.from_json(kept.as_json()) == kept


def test_a_model_s_hash_follows_its_weights_not_their_place(tmp_path: Path) -> None:
    from langchain_r2.embedded import embedded_pool
    from langchain_r2.embedded.bundle import HOME

    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        for file in ("config.json", "model.safetensors"):
            (tmp_path / place / file).write_bytes((HOME / "r2-nano" / file).read_bytes())
    spec = embedded_pool()["r2-nano"]
    import dataclasses

    def at(place: str) -> str:
        return model_hash(
            dataclasses.replace(spec, model=spec.chat_model().model_copy(update={"folder": tmp_path / place}))
        )

    assert at("one") == at("two") == model_hash(spec)
    (tmp_path / "two" / "model.safetensors").write_bytes(b"other")
    assert at("one") != at("two")
