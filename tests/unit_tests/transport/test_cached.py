"""Calls that are made once: what they cost again, and who pays for what is sent."""

from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BudgetError, UnreachableError
from langchain_r2.flow import run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.transport import Call, Outcome
from langchain_r2.transport.cached import CachedTransport
from langchain_r2.transport.executions import ExecutionCache


def made(*replies: Any, **settings: Any) -> tuple[ModelSpec, ScriptedChatModel]:
    spec = scripted_pool(list(replies), **settings).cheapest
    assert isinstance(spec.model, ScriptedChatModel)
    return spec, spec.model


def call(spec: ModelSpec, text: str = "a b") -> Call:
    return Call(spec=spec, prompt=Prompt(text), role="executor", budget=Budget(None))


def shown(outcome: Outcome) -> list[tuple[str | None, float | None, int]]:
    return [(row["error_type"], row["cost_usd"], row["output_tokens"]) for row in outcome.attempts]


def test_the_purse_pays_for_what_is_sent_only() -> None:
    spec, model = made("one two", max_output_tokens=10)
    purse = Budget(100e-6)
    transport = CachedTransport(ExecutionCache(), purse=purse)
    for _ in range(5):
        run(transport.call(call(spec)))
    assert purse.spent_usd == pytest.approx(4e-6)  # two words read, two written, once
    assert not transport.refused
    assert len(model.call_history) == 1


def test_a_call_that_could_pass_the_purse_is_not_sent_but_a_kept_one_is_answered() -> None:
    spec, model = made("one two", max_output_tokens=10)
    worst = spec.price.cost_usd(35, 10)
    assert worst is not None
    cache = ExecutionCache()
    run(CachedTransport(cache).call(call(spec)))
    transport = CachedTransport(cache, purse=Budget(worst - 1e-6))
    assert run(transport.call(call(spec))).reply is not None
    with pytest.raises(BudgetError):
        run(transport.call(call(spec, "c d")))
    assert transport.refused
    assert len(model.call_history) == 1


def test_failed_tries_are_part_of_what_a_kept_reply_costs(tmp_path: Path) -> None:
    spec, model = made(UnreachableError("gone"), "x", max_output_tokens=10)
    settings: dict[str, Any] = {"keep_failed": True, "first_delay_s": 0.0}
    first = run(CachedTransport(ExecutionCache(tmp_path / "c"), **settings).call(call(spec)))
    again = run(CachedTransport(ExecutionCache(tmp_path / "c"), **settings).call(call(spec)))
    assert [error for error, _, _ in shown(first)] == ["UnreachableError", None]
    assert shown(again) == shown(first)
    assert len(model.call_history) == 2
