"""The embedded models over real HTTP do what they do in this process: replies, routing, bills, errors."""

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai import ChatOpenAI

from langchain_r2 import ModelPool, ModelSpec, create_r2_graph
from langchain_r2.embedded import EmbeddedRouter, embedded_pool, embedded_router
from langchain_r2.embedded.bundle import HOME, router_spec
from langchain_r2.embedded.chat import read_json
from langchain_r2.embedded.server import embedded_server, listen, served_models
from langchain_r2.errors import BadValueError, InvalidReplyError, ModelCallError, RejectedError, UnreachableError
from langchain_r2.evals.benchmarks.arithmetic import problems
from langchain_r2.flow import run
from langchain_r2.ledger import Budget, bill
from langchain_r2.prompts import Prompt
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.transport import Call, Outcome, Transport

PROMPTS = ["solve : 33 times 50", "solve : 1650 minus 96", "solve : 2 plus 2", "direct : tom has 5 cards"]
QUERIES = [p.query for p in islice(problems("validation", seed=5, shard="servers"), 6)]
CLOSE = pytest.approx


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """Connections of this test's event loop: ChatOpenAI's own would outlive it and fail in the next one."""
    async with httpx2.AsyncClient() as made:
        yield made


def over_http(spec: ModelSpec, url: str, client: httpx2.AsyncClient | None = None) -> ModelSpec:
    """The same model, served."""
    if client:
        return dataclasses.replace(spec, model=chat(url, spec.name, logprobs=True, http_async_client=client))
    return dataclasses.replace(spec, model=spec.name, base_url=url)


def chat(url: str, model: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=url, api_key="none", max_retries=0, stream_usage=True, **options)  # type: ignore[arg-type]


def check_same(got: AIMessage, expected: AIMessage) -> None:
    assert got.text == expected.text
    usage, same = got.usage_metadata, expected.usage_metadata
    assert usage
    assert same
    assert [usage[k] for k in ("input_tokens", "output_tokens", "total_tokens")] == list(same.values())
    assert got.response_metadata["finish_reason"] == expected.response_metadata["finish_reason"]
    rows = got.response_metadata["logprobs"]["content"]
    for row, other in zip(rows, expected.response_metadata["logprobs"]["content"], strict=True):
        assert (row["token"], row["logprob"]) == (other["token"], CLOSE(other["logprob"], abs=1e-4))
        near = {t["token"]: t["logprob"] for t in row["top_logprobs"]}
        assert len(near) == 3
        assert near == CLOSE({t["token"]: t["logprob"] for t in other["top_logprobs"]}, abs=1e-3)


@pytest.mark.parametrize("name", ["r2-nano", "r2-xlarge"])
async def test_replies_over_http_are_those_in_process(url: str, name: str, client: httpx2.AsyncClient) -> None:
    here, there = served_models()[name], chat(url, name, logprobs=True, top_logprobs=3, http_async_client=client)
    for prompt in PROMPTS:
        settings: list[dict[str, Any]] = [{}, {"temperature": 1.2, "seed": 4}, {"max_tokens": 5}]
        for options in settings:
            expected = here.invoke(prompt, **options, top_logprobs=3)
            check_same(there.invoke(prompt, **options), expected)
            check_same(await there.ainvoke(prompt, **options), expected)
            pieces: list[AIMessageChunk] = list(there.stream(prompt, **options))
            whole = pieces[0]
            for piece in pieces[1:]:
                whole += piece
            assert len(pieces) > len(expected.response_metadata["logprobs"]["content"])
            check_same(whole, expected)


def served_router(url: str, client: httpx2.AsyncClient | None = None) -> EmbeddedRouter:
    """The embedded router, each of its models behind HTTP."""
    here, settings, transport = embedded_router(), read_json(HOME / "router.json"), Transport()
    pool = ModelPool([over_http(spec, url, client) for spec in embedded_pool()], name="served")
    specs = (router_spec(HOME, role, settings) for role in ("decomposer", "allocator"))
    decomposer, allocator = (over_http(spec, url, client) for spec in specs)
    ours, theirs = here["decomposer"], here["allocator"]
    assert isinstance(ours, PromptedDecomposer)
    assert isinstance(theirs, PromptedAllocator)
    return EmbeddedRouter(
        pool=pool,
        decomposer=PromptedDecomposer(
            decomposer, calibration=ours.calibration, min_confidence=ours.min_confidence, transport=transport
        ),
        allocator=PromptedAllocator(
            allocator, pool, coverage=theirs.coverage, shuffle_aliases=False, transport=transport
        ),
        confidence=here["confidence"],
        aggregation=here["aggregation"],
        transport=transport,
    )


def outcome_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same: all but times, and confidences to the fourth digit."""
    untimed = {"wall_s": 0, "started_at": 0}
    tries = [{**a, **untimed, "confidence": round(a["confidence"] or 0, 4)} for a in state["attempts"]]
    tries.sort(key=lambda a: (a["subtask_id"] or "", a["role"], a["model"]))
    subtasks = state["plan"]["subtasks"]
    return {**{k: state[k] for k in ("answer", "status", "allocation")}, "subtasks": subtasks, "tries": tries}


async def test_the_router_over_http_decides_and_bills_as_in_process(url: str, client: httpx2.AsyncClient) -> None:
    here, there = create_r2_graph(**embedded_router()), create_r2_graph(**served_router(url, client))
    expected = [here.invoke({"query": query}) for query in QUERIES]
    assert any(len(state["plan"]["subtasks"]) > 1 for state in expected)
    got = await asyncio.gather(*(there.ainvoke({"query": query}) for query in QUERIES))
    assert [outcome_of(state) for state in got] == [outcome_of(state) for state in expected]
    by_url = create_r2_graph(**served_router(url)).invoke({"query": QUERIES[0]})
    assert outcome_of(by_url) == outcome_of(expected[0])
    assert all((bill(state["attempts"]).cost_usd or 0) > 0 for state in got)


def test_a_run_whose_tokens_are_watched_is_billed_the_same(url: str) -> None:
    """LangGraph's ``messages`` mode makes every model stream: logprobs and usage then come in chunks."""
    graph = create_r2_graph(**served_router(url))
    parts: list[Any] = list(graph.stream({"query": QUERIES[0]}, stream_mode=["messages", "values"]))
    [*_, state] = [value for mode, value in parts if mode == "values"]
    assert sum(mode == "messages" for mode, _ in parts) > 3 * len(state["attempts"])
    assert outcome_of(state) == outcome_of(create_r2_graph(**embedded_router()).invoke({"query": QUERIES[0]}))


def test_the_command_serves_and_its_pool_file_answers(tmp_path: Path) -> None:
    file = tmp_path / "pool.toml"
    cli = [sys.executable, "-m", "langchain_r2.cli"]
    with file.open("w") as out:
        command = [*cli, "serve-embedded", "--port", "0"]
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
    assert server.stderr
    with server:
        try:
            said = server.stderr.readline() + server.stderr.readline()
            ask = [*cli, "ask", "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"]
            done = subprocess.run([*ask, "--pool", file, "--json"], capture_output=True, text=True, check=False)
        finally:
            server.send_signal(signal.SIGINT)
    assert (done.returncode, server.returncode) == (0, 0), done.stderr + said
    record = json.loads(done.stdout)
    assert (record["answer"], record["status"]) == ("408", "ok")
    assert ModelPool.from_toml(str(file)).names == embedded_pool().names


def test_an_address_in_use_is_wrong_use(url: str) -> None:
    port = int(url.split(":")[2].split("/", maxsplit=1)[0])
    with pytest.raises(BadValueError, match=f"127.0.0.1:{port}"), embedded_server(port=port):
        pass
    with listen("127.0.0.1", 0) as free:
        assert free.getsockname()[1] != port


def transported(spec: ModelSpec, prompt: str = PROMPTS[0], tries: int = 1) -> Outcome:
    call = Call(spec=spec, prompt=Prompt(prompt), role="executor", budget=Budget(None))
    return run(Transport(max_tries=tries, first_delay_s=0.01).call(call))


def test_what_the_server_refuses_is_rejected_and_not_tried_again(url: str) -> None:
    spec = over_http(embedded_pool().cheapest, url)
    unknown = dataclasses.replace(spec, model="none")
    odd = dataclasses.replace(spec, model=chat(url, spec.name, extra_body={"best_of": 2}))
    for outcome, says in (
        (transported(unknown, tries=3), "404"),
        (transported(odd, tries=3), "best_of"),
        (transported(spec, "tom " * 2000, tries=3), "2003 tokens"),
    ):
        assert isinstance(outcome.error, RejectedError), outcome
        assert says in str(outcome.error)
        [attempt] = outcome.attempts
        assert (attempt["error_type"], attempt["cost_usd"]) == ("RejectedError", 0.0)


@contextmanager
def answering(status: int, text: bytes) -> Iterator[str]:
    """A server that always answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "text", "kind", "tries"),
    [
        (503, b'{"error": {"message": "busy"}}', UnreachableError, 2),
        (429, b"{}", UnreachableError, 2),
        (401, b"{}", RejectedError, 1),
        (200, b'{"choices": [', InvalidReplyError, 2),
        (200, b"[]", InvalidReplyError, 2),
    ],
)
def test_a_server_that_fails_is_an_error_of_ours(
    status: int, text: bytes, kind: type[ModelCallError], tries: int
) -> None:
    with answering(status, text) as address:
        outcome = transported(over_http(embedded_pool().cheapest, address), tries=2)
    assert type(outcome.error) is kind, outcome.error
    assert [a["error_type"] for a in outcome.attempts] == [kind.__name__] * tries


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    outcome = transported(over_http(embedded_pool().cheapest, f"http://127.0.0.1:{port}/v1"), tries=2)
    assert isinstance(outcome.error, UnreachableError)
    assert len(outcome.attempts) == 2


@pytest.mark.slow
async def test_transformers_serve_says_the_same(transformers_url: str, client: httpx2.AsyncClient) -> None:
    """It gives no log-probabilities, though they are asked for; text and usage are the embedded engine's."""
    here = served_models()["r2-xlarge"]
    there = chat(transformers_url, "r2", logprobs=True, max_tokens=128, http_async_client=client)
    for prompt in PROMPTS:
        expected = here.invoke(prompt, max_tokens=128)
        streamed = "".join([piece.text async for piece in there.astream(prompt)])
        for got in (there.invoke(prompt), await there.ainvoke(prompt)):
            assert got.text == expected.text == streamed
            assert got.usage_metadata
            assert expected.usage_metadata
            assert got.usage_metadata["input_tokens"] == expected.usage_metadata["input_tokens"]
            assert got.usage_metadata["output_tokens"] == expected.usage_metadata["output_tokens"]
            assert not got.response_metadata.get("logprobs")


@pytest.mark.slow
def test_a_router_runs_on_transformers_serve(transformers_url: str) -> None:
    """A pool of a served model and an embedded one: without log-probabilities a reply is judged by its form alone."""
    router, spec = embedded_router(), embedded_pool()["r2-xlarge"]
    served = dataclasses.replace(spec, model="r2", base_url=transformers_url)
    pool = ModelPool([embedded_pool().cheapest, served])
    state = create_r2_graph(
        pool,
        decomposer=router["decomposer"],
        allocator=PromptedAllocator(served, pool, default_route=served.name),
    ).invoke({"query": QUERIES[0]})
    tries = [a for a in state["attempts"] if a["role"] == "executor"]
    assert {a["model"] for a in tries} == {served.name}
    assert all(a["output_tokens"] and a["cost_usd"] for a in tries)


@pytest.mark.slow
def test_transformers_serve_refuses_another_model(transformers_url: str) -> None:
    spec = dataclasses.replace(embedded_pool().cheapest, model="none", base_url=transformers_url)
    assert isinstance(transported(spec).error, RejectedError)


def test_a_pool_outlives_an_event_loop(url: str) -> None:
    """In a process of its own: what an ended loop leaves open is a warning, and here warnings are errors."""
    script = f"""
import asyncio
from langchain_r2 import FREE, ModelSpec
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call, Transport

spec, transport = ModelSpec(name="m", model="r2-medium", base_url={url!r}, price=FREE), Transport(max_tries=1)
for _ in range(3):
    call = Call(spec=spec, prompt=Prompt({PROMPTS[2]!r}), role="executor", budget=Budget(None))
    outcome = asyncio.run(arun(transport.call(call)))
    assert outcome.error is None, outcome.error
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
