"""Calls of a run are written down before they are sent, and are not made again once their reply is there."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage

from langchain_r2 import ModelSpec, Price
from langchain_r2.call_ledger import CallEntry, CallLedger
from langchain_r2.errors import BudgetError, ConfigurationError, LedgerError, LostReplyError, RejectedError
from langchain_r2.flow import arun, run
from langchain_r2.ledger import Budget
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Call, Outcome, Transport
from langchain_r2.transport.journal import key_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[CallLedger]:
    with CallLedger(path) as made:
        yield made


class Scripted:
    """A transport on a scripted model, with the calls that reached it."""

    def __init__(self, script: Any, ledger: Any, **settings: Any) -> None:
        self.model = ScriptedChatModel(script=script)
        self.spec = ModelSpec(name="m", model=self.model, price=Price(input=1.0, output=1.0))
        self.transport = Transport(first_delay_s=0.0, ledger=ledger, **settings)

    def call(self, **changes: Any) -> Call:
        made = Call(
            spec=self.spec, prompt=Prompt(system=None, user="say"), role="executor", budget=Budget(1.0), run_id="run"
        )
        return replace(made, **changes)

    def made(self, **changes: Any) -> Outcome:
        return run(self.transport.call(self.call(**changes)))

    @property
    def sent(self) -> int:
        return len(self.model.call_history)


def dies(script: Callable[[str], Any] | None = None) -> Callable[[str], Any]:
    """As if the process were killed while it waits for the reply."""

    def die(prompt: str) -> Any:
        raise KeyboardInterrupt

    return script or die


def test_a_reply_is_replayed_and_nothing_is_sent(path: Path) -> None:
    whole = scripted_message("text \ud800", probability=0.25)
    whole.response_metadata["logprobs"]["content"][0]["top_logprobs"] = [{"token": "a", "logprob": -0.5}]
    with CallLedger(path) as ledger:
        first = Scripted([whole], ledger).made()
    with CallLedger(path) as ledger:
        again = Scripted(["other"], ledger)
        assert again.made() == first
        assert again.sent == 0
        assert again.made(run_id="other run").reply != first.reply
        assert again.made(run_id=None).reply != first.reply
    assert first.reply is not None
    assert first.reply.alternatives == ({"a": -0.5},)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "evaluator"},
        {"subtask_id": "1"},
        {"prompt": Prompt(system="s", user="say")},
        {"prompt": Prompt(system=None, user="say it")},
        {"temperature": 0.5},
        {"seed": 1},
        {"top_logprobs": 1},
        {"schema": {"title": "t"}},
        {"ordinal": 1},
    ],
)
def test_a_call_that_differs_is_another(ledger: CallLedger, change: dict[str, Any]) -> None:
    call = Scripted(["a"], ledger).call()
    assert key_of(replace(call, **change)) != key_of(call)
    assert key_of(replace(call, budget=Budget(2.0), direction="upward", deadline_s=3.0)) == key_of(call)


def test_another_model_or_reply_length_is_another_call(ledger: CallLedger) -> None:
    call = Scripted(["a"], ledger).call()
    for change in ({"name": "n"}, {"max_output_tokens": 7}):
        assert key_of(replace(call, spec=replace(call.spec, **change))) != key_of(call)


def test_a_failed_call_is_replayed_with_all_its_tries(path: Path) -> None:
    with CallLedger(path) as ledger:
        first = Scripted([ConnectionError("down")], ledger, max_tries=2).made()
    assert len(first.attempts) == 2
    with CallLedger(path) as ledger:
        again = Scripted(["better"], ledger, max_tries=3)
        assert again.made().attempts == first.attempts
        assert str(again.made().error) == str(first.error)
        assert type(again.made().error) is type(first.error)
        assert again.sent == 0


def test_a_refused_call_is_not_sent_again_even_if_the_end_was_not_written(path: Path) -> None:
    with CallLedger(path) as ledger:
        first = Scripted([RejectedError("no")], ledger)
        first.transport.ledger = cast(Any, NoRelease(ledger))
        first.made()
    with CallLedger(path) as ledger:
        again = Scripted(["better"], ledger)
        assert isinstance(again.made().error, RejectedError)
        assert again.sent == 0


def test_between_two_tries_the_second_is_still_to_be_made(path: Path) -> None:
    def script(prompt: str) -> Any:
        if script.calls:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        script.calls = 1  # type: ignore[attr-defined]
        return ConnectionError("down")

    script.calls = 0  # type: ignore[attr-defined]
    with CallLedger(path) as ledger, pytest.raises(KeyboardInterrupt):
        Scripted(script, NoRelease(ledger), max_tries=2).made()
    with CallLedger(path) as ledger:
        again = Scripted(["yes"], ledger, max_tries=2)
        outcome = again.made()
        assert [a["error_type"] for a in outcome.attempts] == ["UnreachableError", "LostReplyError", None]
        assert again.sent == 1


def test_a_lost_reply_is_charged_in_full_shown_and_one_more_try_is_made(path: Path) -> None:
    with CallLedger(path) as ledger, pytest.raises(KeyboardInterrupt):
        Scripted(dies(), ledger).made()
    with CallLedger(path) as ledger:
        again = Scripted(["yes"], ledger, max_tries=1)
        outcome = again.made(subtask_id=None)
        lost, done = outcome.attempts
        rows = ledger.calls("run").result()
        assert (lost["error_type"], done["error_type"], again.sent) == ("LostReplyError", None, 1)
        assert lost["cost_usd"] == rows[0].worst_usd
        assert [row.state for row in rows] == ["lost", "done"]
        assert ledger.spent("run").result().cost_usd == (lost["cost_usd"] or 0) + (done["cost_usd"] or 0)
        assert again.made() == outcome


def test_a_lost_reply_that_no_money_is_left_for_is_the_error(path: Path) -> None:
    with CallLedger(path) as ledger, pytest.raises(KeyboardInterrupt):
        Scripted(dies(), ledger).made()
    with CallLedger(path) as ledger:
        outcome = Scripted(["yes"], ledger).made(budget=Budget(1e-9))
        assert isinstance(outcome.error, LostReplyError)


def test_nothing_is_written_where_nothing_was_sent(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], ledger)
    with pytest.raises(BudgetError):
        scripted.made(budget=Budget(1e-9))
    assert ledger.calls("run").result() == []
    assert scripted.made().reply is not None


def test_the_same_call_at_the_same_time_is_sent_once(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], ledger)
    scripted.model.delay_s = 0.05
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: scripted.made(), range(8)))
    assert scripted.sent == 1
    assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_with_an_event_loop(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], ledger)
    scripted.model.delay_s = 0.05
    outcomes = await asyncio.gather(*(arun(scripted.transport.call(scripted.call())) for _ in range(8)))
    assert scripted.sent == 1
    assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_a_cancelled_call_is_lost_and_may_be_made_again(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], ledger)
    scripted.model.delay_s = 30.0
    task = asyncio.create_task(arun(scripted.transport.call(scripted.call())))
    async with asyncio.timeout(30):
        while not scripted.sent:  # noqa: ASYNC110 - the model has no event to wait for
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scripted.model.delay_s = 0.0
    outcome = await arun(scripted.transport.call(scripted.call()))
    assert [a["error_type"] for a in outcome.attempts] == ["LostReplyError", None]


def test_a_reply_that_cannot_be_written_down_is_not_shown(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], FullDisk(ledger))
    with pytest.raises(LedgerError, match="disk full"):
        scripted.made()
    scripted.transport.ledger = ledger
    assert [a["error_type"] for a in scripted.made().attempts] == ["LostReplyError", None]


def test_a_call_that_cannot_be_written_down_is_not_sent(ledger: CallLedger) -> None:
    scripted = Scripted(["yes"], ledger)
    budget = Budget(1.0)
    ledger.close()
    with pytest.raises(LedgerError):
        scripted.made(budget=budget)
    assert scripted.sent == 0
    assert budget.left_usd == 1.0


def test_wrong_configuration_leaves_the_call_to_be_made(ledger: CallLedger) -> None:
    with pytest.raises(ConfigurationError):
        Scripted([ConfigurationError("no key")], ledger).made()
    assert [a["error_type"] for a in Scripted(["yes"], ledger).made().attempts] == ["LostReplyError", None]


def test_unusable_replies_keep_their_error(ledger: CallLedger) -> None:
    bad = AIMessage("x", usage_metadata={"input_tokens": -1, "output_tokens": 1, "total_tokens": 0})
    first = Scripted([bad], ledger).made()
    again = Scripted(["yes"], ledger).made()
    assert (again.attempts, str(again.error)) == (first.attempts, str(first.error))
    assert type(again.error) is type(first.error)


class NoRelease:
    """A ledger whose process dies before it lets go of a call."""

    def __init__(self, ledger: CallLedger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def release(self, run_id: str, key: str, owner: str, *, failed: bool) -> Future[None]:
        return self._ledger.release(run_id, key, owner, failed=False)


class FullDisk(NoRelease):
    """A ledger that cannot write replies."""

    def settle(self, entry: CallEntry) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(LedgerError("calls.db", "disk full"))
        return failed
