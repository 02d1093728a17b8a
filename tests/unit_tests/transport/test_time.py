"""Turns at a model, deadlines, cancellation: what :mod:`langchain_r2.transport` does about time."""

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from langchain_r2.errors import DeadlineError
from langchain_r2.flow import Both, Gather, Sleep, arun, run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Call, Transport, worst_usd

PRICE = Price(input=1000.0, output=1000.0)


class BlockingChatModel(ScriptedChatModel):
    """Counts how many calls are inside, and holds them until it is released."""

    script: Any = ("x",)
    _inside: int = PrivateAttr(default=0)
    _most: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _entered: Any = PrivateAttr(default_factory=threading.Event)
    _release: Any = PrivateAttr(default_factory=threading.Event)

    @property
    def most(self) -> int:
        return self._most

    @property
    def entered(self) -> threading.Event:
        event: threading.Event = self._entered
        return event

    @property
    def release(self) -> threading.Event:
        event: threading.Event = self._release
        return event

    def count(self, change: int) -> None:
        with self._lock:
            self._inside += change
            self._most = max(self._most, self._inside)
        self._entered.set()

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.count(1)
        self._release.wait(60)
        self.count(-1)
        return super()._generate(messages, *args, **kwargs)

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.count(1)
        try:
            await until(self._release.is_set)
        finally:
            self.count(-1)
        return await super()._agenerate(messages, *args, **kwargs)


def spec(model: ScriptedChatModel, **fields: Any) -> ModelSpec:
    return ModelSpec(**{"name": "m", "model": model, "price": PRICE, "max_output_tokens": 10, **fields})


def call(spec_: ModelSpec, budget: Budget | None = None, **fields: Any) -> Call:
    return Call(spec=spec_, prompt=Prompt("one two"), role="executor", budget=budget or Budget(None), **fields)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it may be set by a thread
            await asyncio.sleep(0)


async def settle_down() -> None:
    """Let everything that can start on the event loop start."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("bound", "most"), [(1, 1), (3, 3), (None, 8)])
async def test_no_more_calls_at_a_time_than_allowed(bound: int | None, most: int) -> None:
    model, t = BlockingChatModel(), Transport()
    m = spec(model, max_concurrency=bound)
    tasks = [asyncio.create_task(arun(t.call(call(m)))) for _ in range(8)]
    await until(lambda: model.most >= most)
    await settle_down()
    assert model.most == most
    model.release.set()
    outcomes = await asyncio.gather(*tasks)
    assert all(o.reply for o in outcomes)
    assert model.most == most


def test_no_more_calls_at_a_time_than_allowed_in_threads() -> None:
    model, t = BlockingChatModel(), Transport()
    m = spec(model, max_concurrency=2)
    model.release.set()

    def both() -> Any:
        return (yield Gather([t.call(call(m)) for _ in range(8)]))

    assert len(run(both())) == 8
    assert model.most <= 2


def test_turns_are_given_back_after_an_error() -> None:
    t = Transport(max_tries=1)
    m = spec(ScriptedChatModel(script=[ValueError("x"), "fine"]), max_concurrency=1)
    assert run(t.call(call(m))).reply is None
    assert run(t.call(call(m))).reply is not None


def test_calls_start_as_far_apart_as_the_rate_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Driven by hand with a clock that moves only by what the transport asks to sleep."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    t = Transport()
    m = spec(ScriptedChatModel(script=["x"]), requests_per_minute=30)
    starts = []
    for _ in range(4):
        flow = t.call(call(m))
        effect = next(flow)
        while isinstance(effect, Sleep):
            now[0] += effect.seconds
            effect = flow.send(None)
        starts.append(now[0])
        flow.close()
    assert starts == pytest.approx([100, 102, 104, 106])


def test_the_wait_for_a_turn_is_no_part_of_the_calls_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two flows driven by hand: the second one waits while the first one has the only turn."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    t, m = Transport(), spec(ScriptedChatModel(script=["x"]), max_concurrency=1)
    first, second = t.call(call(m)), t.call(call(m))
    next(first)
    assert isinstance(next(second), Both)
    now[0] += 50
    walls = []
    for flow, seconds in ((first, 0), (second, 3)):
        if flow is second:
            flow.send(None)
        now[0] += seconds
        with pytest.raises(StopIteration) as stop:
            flow.send(scripted_message("x"))
        walls.append(stop.value.value.attempts[0]["wall_s"])
    assert walls == [50, 3]


async def test_a_cancelled_call_leaves_nothing_reserved_and_gives_its_turn_back() -> None:
    model, t = BlockingChatModel(), Transport()
    m = spec(model, max_concurrency=1)
    worst = worst_usd(m, Prompt("one two")) or 0.0
    budget = Budget(10 * worst)
    task = asyncio.create_task(arun(t.call(call(m, budget))))
    await until(lambda: model.most == 1)
    assert budget.left_usd == pytest.approx(9 * worst)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.spent_usd == pytest.approx(worst)  # it may have been billed
    assert budget.left_usd == pytest.approx(9 * worst)
    model.release.set()
    assert (await arun(t.call(call(m, budget)))).reply is not None


async def test_a_call_that_is_cancelled_before_its_turn_costs_nothing() -> None:
    model, t = BlockingChatModel(), Transport()
    m = spec(model, max_concurrency=1)
    worst = worst_usd(m, Prompt("one two")) or 0.0
    budget = Budget(10 * worst)
    first = asyncio.create_task(arun(t.call(call(m, budget))))
    await until(lambda: model.most == 1)
    second = asyncio.create_task(arun(t.call(call(m, budget))))
    await settle_down()
    assert budget.left_usd == pytest.approx(8 * worst)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert budget.spent_usd == 0.0
    assert budget.left_usd == pytest.approx(9 * worst)
    model.release.set()
    await first


async def test_a_call_waits_for_money_that_others_hold() -> None:
    model, t = BlockingChatModel(), Transport()
    m = spec(model)
    worst = worst_usd(m, Prompt("one two")) or 0.0
    budget = Budget(1.5 * worst)
    tasks = [asyncio.create_task(arun(t.call(call(m, budget)))) for _ in range(3)]
    await until(lambda: model.most == 1)
    await settle_down()
    assert model.most == 1
    model.release.set()
    outcomes = await asyncio.gather(*tasks)
    assert all(o.reply for o in outcomes)
    assert budget.spent_usd <= 1.5 * worst


def test_a_deadline_ends_a_call_in_a_thread() -> None:
    model = BlockingChatModel()
    outcome = run(Transport().call(call(spec(model), deadline_s=0.05)))
    model.release.set()
    assert isinstance(outcome.error, DeadlineError)
    assert [a["error_type"] for a in outcome.attempts] == ["DeadlineError"]


async def test_a_deadline_ends_a_call_on_the_event_loop() -> None:
    model = BlockingChatModel()
    outcome = await arun(Transport().call(call(spec(model), deadline_s=0.05)))
    assert isinstance(outcome.error, DeadlineError)
    assert [a["error_type"] for a in outcome.attempts] == ["DeadlineError"]


def test_a_call_in_time_is_not_ended() -> None:
    assert run(Transport().call(call(spec(ScriptedChatModel(script=["x"])), deadline_s=600.0))).reply is not None


def test_no_further_try_starts_where_the_pause_would_pass_the_deadline() -> None:
    model = ScriptedChatModel(script=[ConnectionError("down")])
    outcome = run(Transport(max_tries=5, first_delay_s=1000.0).call(call(spec(model), deadline_s=100.0)))
    assert len(model.call_history) == len(outcome.attempts) == 1


def test_pauses_double() -> None:
    flow = Transport(max_tries=4, first_delay_s=8.0).call(call(spec(ScriptedChatModel(script=["x"]))))
    pauses: list[float] = []
    effect, outcome = next(flow), None
    while outcome is None:
        try:
            if isinstance(effect, Sleep):
                pauses.append(effect.seconds)
                effect = flow.send(None)
            else:
                effect = flow.throw(ConnectionError("down"))
        except StopIteration as stop:
            outcome = stop.value
    assert len(outcome.attempts) == 4
    assert [6 * 2**i <= pause <= 10 * 2**i for i, pause in enumerate(pauses)] == [True] * 3
