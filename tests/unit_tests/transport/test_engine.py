"""One call: its tries, its rows, its money, its errors."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage

from langchain_r2.errors import (
    BadValueError,
    BudgetError,
    DeadlineError,
    InvalidReplyError,
    ModelCallError,
    RejectedError,
    UnreachableError,
)
from langchain_r2.flow import arun, run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import FREE, ModelSpec, Price
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Call, Outcome, Transport, classify, expected_usd, read_reply, worst_usd

PRICE = Price(input=1_000_000.0 / 1000, output=1_000_000.0 / 1000)  # a token costs 0.001 USD
PROMPT = Prompt("one two")


class HTTPError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def spec(script: Any, **fields: Any) -> ModelSpec:
    model = ScriptedChatModel(script=script, **fields.pop("model", {}))
    return ModelSpec(**{"name": "m", "model": model, "price": PRICE, "max_output_tokens": 10, **fields})


def call(spec_: ModelSpec, limit: float | None = None, **fields: Any) -> Call:
    return Call(**{"spec": spec_, "prompt": PROMPT, "role": "executor", "budget": Budget(limit), **fields})


def do(call_: Call, *, tries: int = 2) -> Outcome:
    return run(Transport(max_tries=tries, first_delay_s=0.0).call(call_))


def calls_of(spec_: ModelSpec) -> int:
    assert isinstance(spec_.model, ScriptedChatModel)
    return len(spec_.model.call_history)


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Any:
    """Make a call in both ways."""
    return (lambda flow: asyncio.run(arun(flow))) if request.param == "async" else run


def test_a_reply_becomes_a_row(drive: Any) -> None:
    outcome = drive(
        Transport().call(call(spec(["three words here"]), subtask_id="7", direction="upward", reason="refused"))
    )
    assert outcome.error is None
    assert outcome.reply.text == "three words here"
    (row,) = outcome.attempts
    assert row.pop("wall_s") >= 0
    assert row.pop("started_at") > 0
    assert row == {
        "subtask_id": "7", "role": "executor", "model": "m", "group": None, "direction": "upward", "reason": "refused",
        "confidence": None, "input_tokens": 2, "cached_input_tokens": 0, "output_tokens": 3,
        "cost_usd": pytest.approx(0.005), "error_type": None, "answer": "three words here",
    }  # fmt: skip


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_an_error_that_may_pass_is_tried_again_and_every_try_is_a_row(tries: int, drive: Any) -> None:
    m = spec([ConnectionError("down")])
    outcome = drive(Transport(max_tries=tries, first_delay_s=0.0).call(call(m)))
    assert calls_of(m) == tries
    assert isinstance(outcome.error, UnreachableError)
    assert [(a["error_type"], a["cost_usd"], a["answer"]) for a in outcome.attempts] == [
        ("UnreachableError", 0.0, None)
    ] * tries


def test_a_later_try_may_succeed() -> None:
    outcome = do(call(spec([HTTPError(503), "fine"])))
    assert outcome.reply is not None
    assert [a["error_type"] for a in outcome.attempts] == ["UnreachableError", None]
    assert [a["cost_usd"] for a in outcome.attempts] == [0.0, pytest.approx(0.003)]


@pytest.mark.parametrize(
    "error",
    [HTTPError(401), HTTPError(400), ValueError("?"), TimeoutError("slow")],
    ids=["401", "400", "value", "timeout"],
)
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    m = spec([error, "never asked"])
    outcome = do(call(m))
    assert calls_of(m) == 1
    assert outcome.reply is None
    assert len(outcome.attempts) == 1


def named(name: str) -> Exception:
    error: Exception = type(name, (Exception,), {})("boom")
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *[pytest.param(HTTPError(s), UnreachableError, id=str(s)) for s in (408, 409, 425, 429, 500, 502, 503, 529)],
        *[pytest.param(HTTPError(s), RejectedError, id=str(s)) for s in (400, 401, 403, 404, 413, 422)],
        pytest.param(ConnectionResetError("x"), UnreachableError, id="reset"),
        pytest.param(OSError("x"), UnreachableError, id="os"),
        pytest.param(named("APIConnectionError"), UnreachableError, id="client-connection"),
        pytest.param(named("NetworkError"), UnreachableError, id="client-network"),
        pytest.param(TimeoutError("x"), DeadlineError, id="timeout"),
        pytest.param(named("APITimeoutError"), DeadlineError, id="client-timeout"),
        pytest.param(KeyError("x"), InvalidReplyError, id="key"),
        pytest.param(ValueError("x"), InvalidReplyError, id="value"),
    ],
)
def test_classification(error: Exception, expected: type[ModelCallError]) -> None:
    made = classify(error)
    assert type(made) is expected
    assert made.__cause__ is error
    assert type(error).__name__ in str(made)


def test_our_own_errors_are_left_alone() -> None:
    error = RejectedError("x")
    assert classify(error) is error


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": -1, "output_tokens": 1, "total_tokens": 0},
        {"input_tokens": 1, "output_tokens": 10**9, "total_tokens": 10**9},
    ],
    ids=["negative", "huge"],
)
def test_usage_that_cannot_be_is_an_invalid_reply_charged_at_its_bound(usage: dict[str, int]) -> None:
    message = AIMessage("x")
    message.usage_metadata = usage  # type: ignore[assignment]
    for limit, cost in ((None, None), (1.0, pytest.approx(worst_usd(spec([]), PROMPT)))):
        outcome = do(call(spec([message]), limit))
        assert isinstance(outcome.error, InvalidReplyError)
        assert outcome.attempts[0]["cost_usd"] == cost
        assert outcome.attempts[0]["input_tokens"] == 0


def test_a_reply_without_usage_has_an_unknown_cost_never_0() -> None:
    outcome = do(call(spec([AIMessage("x")])))
    assert outcome.reply is not None
    assert outcome.attempts[0]["cost_usd"] is None


def test_a_reply_without_usage_is_charged_at_its_bound_under_a_limit() -> None:
    budget = Budget(1.0)
    outcome = do(call(m := spec([AIMessage("x")]), budget=budget))
    assert outcome.attempts[0]["cost_usd"] == budget.spent_usd == worst_usd(m, PROMPT)


@pytest.mark.parametrize("limit", [None, 1.0])
@pytest.mark.parametrize("script", [AIMessage("x"), ValueError("x")], ids=["no-usage", "error"])
def test_what_is_stated_to_be_free_costs_nothing_whatever_happens(limit: float | None, script: Any) -> None:
    assert do(call(spec([script], price=FREE), limit)).attempts[0]["cost_usd"] == 0.0


def test_an_unknown_price_gives_an_unknown_cost() -> None:
    assert do(call(spec(["x"], price=Price(input=None, output=None)))).attempts[0]["cost_usd"] is None


def test_a_hit_in_the_cache_of_langchain_costs_nothing() -> None:
    from langchain_core.caches import InMemoryCache

    m = spec(["one two three"], model={"cache": InMemoryCache()})
    first, second = do(call(m)), do(call(m))
    assert calls_of(m) == 1
    assert [o.attempts[0]["cost_usd"] for o in (first, second)] == [pytest.approx(0.005), 0.0]
    assert second.attempts[0]["output_tokens"] == 3


def test_cached_input_tokens_are_charged_at_their_price() -> None:
    message = scripted_message("x", "one two three four")
    assert message.usage_metadata is not None
    message.usage_metadata["input_token_details"] = {"cache_read": 3}
    outcome = do(call(spec([message], price=Price(input=1000.0, output=0.0, cached_input=0.0))))
    assert outcome.attempts[0]["cached_input_tokens"] == 3
    assert outcome.attempts[0]["cost_usd"] == pytest.approx(0.001)


def test_more_cached_tokens_than_were_read_are_not_believed() -> None:
    message = scripted_message("x", "one two")
    assert message.usage_metadata is not None
    message.usage_metadata["input_token_details"] = {"cache_read": 99}
    outcome = do(call(spec([message], price=Price(input=1000.0, output=0.0, cached_input=100.0))))
    assert outcome.attempts[0]["cached_input_tokens"] == 2
    assert outcome.attempts[0]["cost_usd"] == pytest.approx(0.0002)


def test_the_real_cost_replaces_the_reservation() -> None:
    budget = Budget(1.0)
    do(call(spec(["x"]), budget=budget))
    assert budget.spent_usd == pytest.approx(0.003)
    assert budget.left_usd == pytest.approx(0.997)


def test_a_call_whose_worst_case_is_too_dear_is_not_made() -> None:
    m = spec(["x"])
    worst = worst_usd(m, PROMPT) or 0.0
    with pytest.raises(BudgetError):
        do(call(m, worst * 0.99))
    assert calls_of(m) == 0
    assert do(call(m, worst)).reply is not None


def test_a_budget_that_runs_out_between_two_tries_keeps_the_first_ones_row() -> None:
    budget = Budget(1.0)

    def spend_and_fail(prompt: str) -> Exception:
        held = budget.reserve(0.9)
        assert held is not None
        budget.settle(held, 0.9 + 0.09)
        return ConnectionError("down")

    outcome = do(call(spec(spend_and_fail), budget=budget))
    assert isinstance(outcome.error, UnreachableError)
    assert len(outcome.attempts) == 1


@pytest.mark.parametrize("text", ["one two", "数字" * 50, "x " * 500], ids=["short", "chinese", "long"])
def test_the_worst_case_covers_a_token_per_byte(text: str) -> None:
    m = spec(["x"])
    assert (worst_usd(m, Prompt(text, "system")) or 0) >= (len(text.encode()) + 6 + m.max_output_tokens) * 0.001


def test_costs_for_comparison_are_endless_where_a_price_is_unknown() -> None:
    assert expected_usd(spec([]), 3, 4) == pytest.approx(0.007)
    assert expected_usd(spec([], price=Price(input=None, output=1)), 3, 4) == float("inf")


@pytest.mark.parametrize("key", ["finish_reason", "stop_reason", "done_reason"])
def test_the_reason_to_stop_is_read_from_every_provider(key: str) -> None:
    assert read_reply(AIMessage("x", response_metadata={key: "length"})).finish_reason == "length"


def test_alternatives_are_read_per_token() -> None:
    top = [{"token": "a", "logprob": -0.1}, {"token": "c", "logprob": -2}]
    rows = [{"token": "a", "logprob": -0.1, "top_logprobs": top}, {"token": "\n", "logprob": -0.5}]
    reply = read_reply(AIMessage("a\n", response_metadata={"logprobs": {"content": rows}}))
    assert reply.token_logprobs == (-0.1, -0.5)
    assert reply.alternatives == ({"a": -0.1, "c": -2.0}, {})


@pytest.mark.parametrize("thing", ["text", None, HumanMessage("x")])
def test_what_is_no_reply_is_refused(thing: object) -> None:
    with pytest.raises(InvalidReplyError, match=type(thing).__name__):
        read_reply(thing)


def test_a_model_that_cannot_be_built_raises_before_anything_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    budget = Budget(1.0)
    broken = ModelSpec(name="m", model="x", price=PRICE, base_url="http://localhost:1/v1", api_key_env="SOME_KEY")
    with pytest.raises(BadValueError, match="SOME_KEY"):
        do(call(broken, budget=budget))
    assert budget.left_usd == 1.0


class Seen(BaseCallbackHandler):
    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.runs.append({"name": kwargs.get("name"), "tags": kwargs.get("tags"), **(kwargs.get("metadata") or {})})


def test_the_inner_run_says_what_it_was_for(drive: Any) -> None:
    seen = Seen()
    config: Any = {"callbacks": [seen], "tags": ["mine"], "metadata": {"tenant": "t1"}}
    made = call(spec(["x"]), config=config, subtask_id="3", direction="downward", reason="record")
    drive(Transport().call(made))
    (found,) = seen.runs
    assert found.items() >= {
        "name": "executor:m", "r2_role": "executor", "r2_model": "m", "r2_subtask": "3", "r2_direction": "downward",
        "r2_reason": "record", "tenant": "t1",
    }.items()  # fmt: skip
    assert "mine" in found["tags"]
    assert config["metadata"] == {"tenant": "t1"}
