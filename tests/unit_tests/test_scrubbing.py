"""Keys are kept out of texts; what is no key is left."""

import logging
import pickle
import traceback
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_r2 import FREE, ModelPool, ModelSpec, create_r2_graph
from langchain_r2.errors import BadValueError
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.run_record import failed_record, to_json
from langchain_r2.scrubbing import (
    KeyFilter,
    StreamScrubber,
    is_secret_name,
    scrubbed,
    secrets_of,
    without,
    without_secret_names,
)
from langchain_r2.testing import ScriptedChatModel
from langchain_r2.transport import Transport, classify

CANARY = "canary-5f3a9c1b7d"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Incorrect API key provided: sk-abcdefgh1234", "Incorrect API key provided: [hidden]"),
        ("cannot reach http://user:pass@host/v1", "cannot reach http://[hidden]@host/v1"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [hidden]"),
        ('{"api_key": "abcd1234efgh", "n": 1}', '{"api_key": "[hidden]", "n": 1}'),
        ("the tokens: 5, the key is to bear it", "the tokens: 5, the key is to bear it"),
        ("at https://host/v1, mail a@b.example", "at https://host/v1, mail a@b.example"),
    ],
)
def test_what_looks_like_a_key_is_hidden_and_nothing_else(text: str, kept: str) -> None:
    assert scrubbed(text) == kept


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "LOCAL_KEY", "HF_TOKEN", "DB_PASSWORD"])
def test_keys_in_the_environment_are_known_by_their_names(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, CANARY)
    assert scrubbed(f"no such user {CANARY}!") == "no such user [hidden]!"


def test_a_given_key_is_hidden_whatever_its_form_and_a_short_one_is_none() -> None:
    assert scrubbed("x hunter22 y", ["hunter22"]) == "x [hidden] y"
    assert without("none of it", ["none", ""]) == "none of it"
    assert without("abcdefgh-long abcdefgh", ["abcdefgh", "abcdefgh-long"]) == "[hidden] [hidden]"


@pytest.mark.parametrize("name", ["api_key", "OPENAI_API_KEY", "token", "auth-token", "x-api-key", "user_password"])
def test_names_of_keys(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["thread_id", "max_tokens", "monkey", "sort", "langgraph_auth_user", 7])
def test_names_of_other_things(name: object) -> None:
    assert not is_secret_name(name)


def test_settings_lose_their_keys() -> None:
    kept = without_secret_names({"thread_id": "1", "api_key": CANARY, "n": 3, "note": "Bearer abcdef"})
    assert kept == {"thread_id": "1", "n": 3, "note": "Bearer [hidden]"}


class Keyed(ScriptedChatModel):
    api_key: SecretStr = SecretStr(CANARY)
    header: str = CANARY


def test_a_spec_shows_and_pickles_no_key() -> None:
    keyed: Any = Keyed(script=["answer: a"])
    assert secrets_of(keyed) == (CANARY,)
    pool = ModelPool([ModelSpec(name="m", model=keyed, price=FREE)])
    assert CANARY not in f"{pool!r} {pool.models!r}"
    with pytest.raises(BadValueError, match="without a key in it") as caught:
        pickle.dumps(pool)
    assert CANARY not in str(caught.value)


def test_a_spec_that_names_its_key_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R2_TEST_KEY", CANARY)
    spec = ModelSpec(name="m", model="x", base_url="http://localhost:1/v1", api_key_env="R2_TEST_KEY", price=FREE)
    pool = ModelPool([spec])
    kept = pickle.dumps(pool)
    assert CANARY.encode() not in kept
    assert pickle.loads(kept)["m"] == pool["m"]  # noqa: S301 - ours


def test_a_key_that_a_server_echoes_reaches_neither_error_nor_cause_nor_record() -> None:
    made = classify(RuntimeError(f"401: unknown key {CANARY}"), [CANARY])
    assert str(made) == "RuntimeError: 401: unknown key [hidden]"
    assert made.__cause__ is None
    assert CANARY not in "".join(traceback.format_exception(made))
    kept = classify(RuntimeError("500: try again"), [CANARY])
    assert isinstance(kept.__cause__, RuntimeError)


@pytest.mark.parametrize("query", ["fail", "echo"])
def test_a_run_keeps_no_key_that_a_server_echoes(query: str) -> None:
    def script(prompt: str) -> str:
        if "fail" in prompt:
            raise PermissionError(f"401: unknown key {CANARY}")
        return f"answer: your key is {CANARY}"

    pool = ModelPool([ModelSpec(name="m", model=Keyed(script=script), price=FREE)])
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), transport=Transport(max_tries=1))
    out = graph.invoke({"query": query})
    assert CANARY not in repr(out)
    assert out["answer"] == ("your key is [hidden]" if query == "echo" else None)


def test_a_record_of_a_run_that_raised_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    assert CANARY not in to_json(failed_record("q", ValueError(f"bad {CANARY}"), id="1", wall_s=0.0))


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError, PermissionError, RuntimeError])
def test_no_kind_of_failure_shows_a_key(kind: type[Exception]) -> None:
    assert CANARY not in str(classify(kind(f"cannot reach {CANARY}"), [CANARY]))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_key_is_hidden_in_bytes_whatever_the_parts(size: int) -> None:
    data = f"begin {CANARY} {CANARY[:9]} {CANARY}{CANARY[:5]}".encode()
    scrubber = StreamScrubber([CANARY, "short"])
    parts = [scrubber.feed(data[i : i + size]) for i in range(0, len(data), size)]
    assert b"".join([*parts, scrubber.end()]).decode() == f"begin [hidden] {CANARY[:9]} [hidden]{CANARY[:5]}"


def test_nothing_but_the_beginning_of_a_key_is_held_back() -> None:
    scrubber = StreamScrubber([CANARY])
    assert scrubber.feed(b"data: x\n\n") == b"data: x\n\n"
    assert scrubber.feed(b"can") == b""
    assert scrubber.feed(b"dle") == b"candle"


def test_the_logger_of_a_library_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    record = logging.LogRecord("x", 10, "f", 1, "head %r", (CANARY,), None)
    assert KeyFilter().filter(record)
    assert record.getMessage() == "head '[hidden]'"
