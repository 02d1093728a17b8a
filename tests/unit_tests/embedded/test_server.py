"""The OpenAI-compatible server of the embedded models, without sockets: a model with random weights behind it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.embedded.server import create_app, served_models
from langchain_r2.errors import MissingExtraError
from langchain_r2.in_process import Request, Written

PROMPT = "solve : 33 times 50"
URL = "/v1/chat/completions"
WARM: dict[str, Any] = {"temperature": 1.5, "seed": 3}  # greedy, random weights repeat one token


@pytest.fixture(scope="module")
def model(home: Path) -> EmbeddedChatModel:
    file = home / "tokenizer" / "tokenizer.json"
    return EmbeddedChatModel(folder=home / "m", tokenizer_file=file, model_name="m", max_tokens=8)


@pytest.fixture
def client(model: EmbeddedChatModel) -> TestClient:
    return TestClient(create_app({"m": model}), raise_server_exceptions=False)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": PROMPT}], **WARM, **fields}


def events(text: str) -> list[dict[str, Any]]:
    *lines, last = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert last == "[DONE]"
    return [json.loads(line) for line in lines]


def test_the_models_are_listed(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [(row["id"], row["object"]) for row in listed["data"]] == [("m", "model")]
    assert client.get("/v1/models/m").json() == listed["data"][0]


def test_the_nine_models_and_the_router_are_served() -> None:
    names = list(served_models())
    assert (len(names), names[-2:]) == (11, ["r2-router-decomposer", "r2-router-allocator"])


def test_a_reply_is_what_the_model_says_in_process(client: TestClient, model: EmbeddedChatModel) -> None:
    expected = model.invoke(PROMPT, **WARM, top_logprobs=3)
    got = client.post(URL, json=body(logprobs=True, top_logprobs=3)).json()
    [choice] = got["choices"]
    assert got["object"] == "chat.completion"
    assert choice["message"] == {"role": "assistant", "content": expected.text, "refusal": None}
    assert choice["finish_reason"] == expected.response_metadata["finish_reason"] == "length"
    assert expected.text
    usage = expected.usage_metadata
    assert usage
    assert list(got["usage"].values()) == [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]
    for row, same in zip(choice["logprobs"]["content"], expected.response_metadata["logprobs"]["content"], strict=True):
        assert (row["token"], row["logprob"]) == (same["token"], pytest.approx(same["logprob"], abs=1e-5))
        assert [t["token"] for t in row["top_logprobs"]] == [t["token"] for t in same["top_logprobs"]]
        assert len(row["top_logprobs"]) == 3


def test_log_probabilities_come_only_where_asked_for(client: TestClient) -> None:
    assert client.post(URL, json=body()).json()["choices"][0]["logprobs"] is None
    rows = client.post(URL, json=body(logprobs=True)).json()["choices"][0]["logprobs"]["content"]
    assert [row["top_logprobs"] for row in rows] == [[]] * 8


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_length_asked_for_holds(client: TestClient, field: str) -> None:
    assert client.post(URL, json=body(**{field: 3})).json()["usage"]["completion_tokens"] == 3


def test_sampling_follows_its_seed(client: TestClient) -> None:
    def draw(seed: int) -> str:
        text: str = client.post(URL, json=body(temperature=2, seed=seed)).json()["choices"][0]["message"]["content"]
        return text

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(6)}) > 1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_streamed_reply_is_the_same_in_pieces(client: TestClient, *, stopped: bool) -> None:
    whole = client.post(URL, json=body()).json()["choices"][0]["message"]["content"]
    asked = body(logprobs=True, stop=whole[len(whole) // 2 :][:3] if stopped else None)
    expected = client.post(URL, json=asked).json()
    reply = client.post(URL, json={**asked, "stream": True, "stream_options": {"include_usage": True}})
    assert reply.headers["content-type"].startswith("text/event-stream")
    *chunks, last = events(reply.text)
    assert (last["choices"], last["usage"]) == ([], expected["usage"])
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1
    [choice], choices = expected["choices"], [chunk["choices"][0] for chunk in chunks]
    assert "".join(c["delta"].get("content", "") for c in choices) == choice["message"]["content"]
    assert (len(choice["message"]["content"]) < len(whole)) == stopped
    rows = [row for c in choices if c["logprobs"] for row in c["logprobs"]["content"]]
    assert rows == choice["logprobs"]["content"]
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop" if stopped else "length"]


def test_usage_is_streamed_only_where_asked_for(client: TestClient) -> None:
    assert not any("usage" in event for event in events(client.post(URL, json=body(stream=True)).text))


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'tool'"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content", "None"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type", "text"),
        ({"model": 3}, "model", "is 3"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"temperature": -1}, "temperature", "is -1"),
        ({"seed": -1}, "seed", "is -1"),
        ({"stop": ""}, "stop.0", "at least 1"),
        ({"logprobs": True, "top_logprobs": 20}, "top_logprobs", "less than or equal to 12"),
        ({"top_logprobs": 2}, "top_logprobs", "logprobs: true"),
        ({"n": 2}, "n", "is 2"),
        ({"tools": []}, "tools", "not supported"),
    ],
)
def test_what_cannot_be_done_is_refused(client: TestClient, fields: dict[str, Any], param: str, says: str) -> None:
    reply = client.post(URL, json=body(**fields))
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"model": "\xff"}'])
def test_a_body_that_is_no_request_is_refused(client: TestClient, text: bytes) -> None:
    reply = client.post(URL, content=text)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "body")


def test_values_that_change_nothing_are_accepted(client: TestClient) -> None:
    asked = body(n=1, top_p=1.0, presence_penalty=0, frequency_penalty=0.0, user="u", stop=None)
    assert client.post(URL, json=asked).status_code == 200


def test_an_unknown_model_is_not_found(client: TestClient) -> None:
    for reply in (client.post(URL, json=body(model="x")), client.get("/v1/models/x")):
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (404, "model_not_found")
        assert "it has: m" in error["message"]


def test_a_prompt_that_is_too_long_is_refused(client: TestClient) -> None:
    reply = client.post(URL, json=body(messages=[{"role": "user", "content": "tom " * 2000}]))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "at most 1023" in reply.json()["error"]["message"]


def test_other_addresses_and_methods_are_errors_of_the_same_shape(client: TestClient) -> None:
    for reply, status in ((client.get("/v1/none"), 404), (client.get(URL), 405)):
        assert (reply.status_code, set(reply.json()["error"])) == (status, {"message", "type", "param", "code"})


def test_a_failure_inside_shows_no_details(
    client: TestClient, model: EmbeddedChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(requests: Sequence[Request]) -> list[Written]:
        raise RuntimeError("a secret")

    monkeypatch.setattr(model.engine, "generate", broken)
    reply = client.post(URL, json=body())
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "server_error")
    assert "secret" not in reply.text


async def test_concurrent_requests_share_a_batch(model: EmbeddedChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    inner = model.engine.generate

    def counted(requests: Sequence[Request]) -> list[Written]:
        sizes.append(len(requests))
        return inner(requests)

    monkeypatch.setattr(model.engine, "generate", counted)
    transport = httpx.ASGITransport(app=create_app({"m": model}))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        replies = await asyncio.gather(*(client.post(URL, json=body()) for _ in range(12)))
    assert len({reply.json()["choices"][0]["message"]["content"] for reply in replies}) == 1
    assert sum(sizes) == 12
    assert max(sizes) > 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match=r"langchain-r2\[serve\]"):
        create_app({})
