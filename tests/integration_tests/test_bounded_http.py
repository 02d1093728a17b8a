"""Models behind a server on loopback that misbehaves: deadlines, sizes, origins, the circuit, what stays open."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from langchain_r2.bounded_http import bounded_clients
from langchain_r2.clients import is_bounded
from langchain_r2.errors import CircuitOpenError, DeadlineError, InvalidReplyError, RejectedError, UnreachableError
from langchain_r2.flow import arun, run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call, Outcome, Transport, worst_usd
from tests.scoreboard import faults
from tests.scoreboard.fault_server import Exchange, FaultServer, Play, head

PRICE = Price(input=1.0, output=2.0)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as made:
        yield made


def spec(server: FaultServer, **fields: Any) -> ModelSpec:
    chosen = {"name": "m", "model": "m", "base_url": server.url, "price": PRICE, "max_output_tokens": 64, **fields}
    return ModelSpec(**chosen)


def call(spec_: ModelSpec, **fields: Any) -> Call:
    return Call(**{"spec": spec_, "prompt": Prompt("id=w1"), "role": "executor", "budget": Budget(1.0), **fields})


def made(mode: str, transport: Transport, call_: Call) -> Outcome:
    return asyncio.run(arun(transport.call(call_))) if mode == "async" else run(transport.call(call_))


def wait_until(condition: Any) -> bool:
    ends = time.monotonic() + 5
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return bool(condition())


both = pytest.mark.parametrize("mode", ["sync", "async"])


@both
@pytest.mark.parametrize("play", [faults.header_hang, faults.body_hang, faults.trickle], ids=lambda p: p.__name__)
def test_a_deadline_holds_whatever_the_server_does_and_closes_the_connection(
    server: FaultServer, play: Play, mode: str
) -> None:
    server.script("m", always=play)
    budget = Budget(1.0)
    started = time.monotonic()
    outcome = made(mode, Transport(), call(spec(server), deadline_s=2.0, budget=budget))
    assert time.monotonic() - started < 8  # the trickle would take longer than 15 s
    assert isinstance(outcome.error, DeadlineError)
    assert wait_until(lambda: server.of("m")[0].closed_s is not None)
    assert len(server.of("m")) == 1
    assert budget.spent_usd == worst_usd(spec(server), Prompt("id=w1"))  # it may be billed


@both
def test_a_long_reply_is_not_read_to_its_end(server: FaultServer, mode: str) -> None:
    server.script("m", always=faults.big)
    outcome = made(mode, Transport(max_tries=1), call(spec(server)))
    assert isinstance(outcome.error, InvalidReplyError)
    assert "longer than" in str(outcome.error)
    assert wait_until(lambda: server.of("m")[0].closed_s is not None)
    assert server.of("m")[0].sent_bytes < 16 * 2**20


async def chunked_without_end(exchange: Exchange) -> None:
    await exchange.send(head())
    while True:
        await exchange.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


@both
def test_a_reply_that_states_no_length_is_cut_off_too(server: FaultServer, mode: str) -> None:
    server.script("m", always=chunked_without_end)
    outcome = made(mode, Transport(max_tries=1), call(spec(server)))
    assert "longer than 8388608 bytes" in str(outcome.error)


async def compressed(exchange: Exchange) -> None:
    await exchange.send(head(length=10, content_encoding="gzip") + b"0123456789")


@both
def test_a_compressed_reply_is_refused(server: FaultServer, mode: str) -> None:
    server.script("m", always=compressed)
    assert "compressed" in str(made(mode, Transport(max_tries=1), call(spec(server))).error)


@both
def test_a_redirect_is_not_followed(server: FaultServer, mode: str) -> None:
    server.script("m", always=faults.redirect)
    outcome = made(mode, Transport(), call(spec(server)))
    assert isinstance(outcome.error, RejectedError)
    assert (len(server.of("m")), server.elsewhere) == (1, [])


async def posted(clients: Any, url: str) -> None:
    async with clients.asynchronous as client:
        await client.post(url, json={})


@both
def test_only_the_configured_origin_is_spoken_to(server: FaultServer, mode: str) -> None:
    clients = bounded_clients()
    clients.origin.allow(server.url)
    url = f"{server.other_url}/chat/completions"
    post = (lambda: clients.sync.post(url, json={})) if mode == "sync" else lambda: asyncio.run(posted(clients, url))
    with pytest.raises(RejectedError, match="was not sent"):
        post()
    assert server.elsewhere == []


@both
def test_a_chat_model_of_the_users_own_gets_our_http_and_no_retries(server: FaultServer, mode: str) -> None:
    theirs = ChatOpenAI(model="m", base_url=server.url, api_key="none", max_retries=7, timeout=600)  # type: ignore[arg-type]
    used = spec(server, model=theirs, base_url=None)
    assert is_bounded(used.chat_model())
    server.script("m", always=faults.status("503 Unavailable"))
    outcome = made(mode, Transport(first_delay_s=0.01), call(used))
    assert isinstance(outcome.error, UnreachableError)
    assert len(server.of("m")) == len(outcome.attempts) == 3
    server.script("m", always=faults.trickle)
    assert isinstance(made(mode, Transport(), call(used, deadline_s=0.3)).error, DeadlineError)


@both
def test_an_open_circuit_sends_nothing_and_closes_after_a_good_probe(server: FaultServer, mode: str) -> None:
    server.script("m", always=faults.status("503 Unavailable"))
    transport, used = Transport(max_tries=1, breaker_failures=3, breaker_open_s=0.3), spec(server)
    for _ in range(3):
        made(mode, transport, call(used))
    outcome = made(mode, transport, call(used))
    assert isinstance(outcome.error, CircuitOpenError)
    assert [(a["error_type"], a["cost_usd"]) for a in outcome.attempts] == [("CircuitOpenError", 0.0)]
    assert len(server.of("m")) == 3
    server.script("m", always=faults.altered("answer: w1"))
    time.sleep(0.35)
    assert made(mode, transport, call(used)).reply is not None


@both
def test_the_time_of_a_run_ends_a_call_under_way_and_lets_no_other_start(server: FaultServer, mode: str) -> None:
    from langchain_r2.errors import BudgetError

    server.script("m", always=faults.header_hang)
    budget = Budget(limit_s=0.4)
    assert isinstance(made(mode, Transport(), call(spec(server), budget=budget)).error, DeadlineError)
    with pytest.raises(BudgetError, match="time of the run"):
        made(mode, Transport(), call(spec(server), budget=budget))
    assert len(server.of("m")) == 1


def test_cancelling_closes_the_connection_and_settles(server: FaultServer) -> None:
    server.script("m", always=faults.header_hang)
    budget = Budget(1.0)

    async def cancel() -> float:
        task = asyncio.create_task(arun(Transport().call(call(spec(server), budget=budget))))
        await asyncio.to_thread(wait_until, lambda: server.of("m"))
        started = time.monotonic()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(cancel()) < 2
    assert wait_until(lambda: server.of("m")[0].closed_s is not None)
    assert budget.left_usd == pytest.approx(1.0 - budget.spent_usd)
    assert budget.spent_usd == worst_usd(spec(server), Prompt("id=w1"))


def test_a_reply_cut_on_its_way_is_charged_at_its_bound_and_a_refused_one_at_nothing(server: FaultServer) -> None:
    for play, cost in (
        (faults.reset_in_body, worst_usd(spec(server), Prompt("id=w1"))),
        (faults.status("400 No"), 0.0),
    ):
        server.script("m", always=play)
        outcome = run(Transport(max_tries=1).call(call(spec(server))))
        assert [a["cost_usd"] for a in outcome.attempts] == [cost]


def test_a_reply_that_is_not_whole_but_was_counted_costs_what_it_says(server: FaultServer) -> None:
    server.script("m", always=faults.altered(""))
    outcome = run(Transport().call(call(spec(server))))
    assert len(outcome.attempts) == 1
    assert outcome.attempts[0]["cost_usd"] == pytest.approx(server.spent_usd("m"))


def test_a_connection_is_kept_and_closed_when_nobody_has_the_client(server: FaultServer) -> None:
    used, transport = spec(server), Transport()
    for _ in range(2):
        assert run(transport.call(call(used))).reply is not None
        assert len(server.connections) == 1
    del transport, used
    gc.collect()
    assert wait_until(lambda: not server.connections)


def test_one_client_serves_one_event_loop_after_the_other(server: FaultServer) -> None:
    used, transport = spec(server), Transport()
    for _ in range(3):
        assert made("async", transport, call(used)).reply is not None
    assert wait_until(lambda: not server.connections)


def test_the_environments_proxy_is_used_but_never_for_loopback(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    from langchain_r2.bounded_sockets import _proxy

    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert str(_proxy(httpx2.URL("https://api.example/v1"))) == "http://proxy.example:3128"
    assert _proxy(httpx2.URL("https://inside.example/v1")) is None
    assert run(Transport().call(call(spec(server)))).reply is not None  # nothing listens at port 1
