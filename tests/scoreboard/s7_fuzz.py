"""S7: whatever models, endpoints and files say, there are only our own errors, soon and without deep recursion."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_r2 import ConfigurationError, ModelCallError, ModelSpec
from langchain_r2.flow import run as drive
from langchain_r2.ledger import Budget
from langchain_r2.parsing import parse_allocation, parse_answer, parse_plan, resolve
from langchain_r2.pool_file import _Place, load_pool
from langchain_r2.prompts import Prompt, instruct
from langchain_r2.run_record import read_records
from langchain_r2.transport import Call, Transport, replies
from tests.scoreboard.fault_server import Exchange, FaultServer, chunk, event, head
from tests.scoreboard.graphs import PRICE
from tests.scoreboard.row import Outcome, Row, guarded, judged

EXAMPLES: Final = 1000
QUICK: Final = 40
SLOW_S: Final = 1.0

_WORDS: Final = [
    "1:", "2.", "- ", "#1", "#query", "#", "(needs 1)",
    "[needs", "<think>", "</think>", "```json", "{", "}", "[", "]",
    '"subtasks"', '"depends_on"', '"id"', '"text"', ":", ",", '"', "\\", "answer:", "\n", "\n\n", "**",
    "a", "a.b", "\0",
    "\ud800", "\u200b", "</data>", "<data>", "data", "\uff1c/data", "9" * 400, "NaN", "-1", "1e999", "null",
]  # fmt: skip
TEXT: Final = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(_WORDS), max_size=60).map("".join),
    st.tuples(st.sampled_from(_WORDS), st.integers(1, 3000)).map(lambda t: t[0] * t[1]),
)
JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from(["1", "2", "m1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(TEXT, st.sampled_from(["id", "text", "subtasks", "model", "1"])), inner, max_size=5),
    ),
    max_leaves=20,
)
SAID: Final = st.one_of(TEXT, JSON.map(json.dumps))
NUMBER: Final = st.one_of(st.integers(), st.floats(), st.none(), st.booleans(), st.text(max_size=5))


class Target(NamedTuple):
    """What is fuzzed, and with what."""

    values: st.SearchStrategy[Any]
    check: Callable[[Any], None]


def plan(text: str) -> None:
    """A usable plan within its bounds, or a problem."""
    for structured in (False, True):
        parsed = parse_plan(text, max_subtasks=8, structured=structured)
        ids = [s["id"] for s in parsed.subtasks]
        assert bool(ids) != bool(parsed.problem)
        assert len(ids) == len(set(ids)) <= 8
        assert all(d in ids for s in parsed.subtasks for d in s["depends_on"])


def allocation(text: str) -> None:
    """Known models only."""
    for structured in (False, True):
        parsed = parse_allocation(text, subtask_ids=["1", "2"], aliases=["a", "c"], structured=structured)
        assert set(parsed.aliases) <= {"1", "2"}
        assert set(parsed.aliases.values()) <= {"a", "c"}


def usage(value: dict[str, Any]) -> None:
    """Sane counts, or an error of ours."""
    message = AIMessage("a", response_metadata={"finish_reason": "stop"})
    vars(message)["usage_metadata"] = value
    try:
        replies.read_reply(message)
    except ModelCallError:
        return
    assert not value or all(
        isinstance(value[k], int) and 0 <= value[k] < 1e9 for k in ("input_tokens", "output_tokens")
    )


def pool_file(text: str) -> None:
    """A pool, or wrong use."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pool.toml"
        file.write_bytes(text.encode(errors="surrogatepass"))
        try:
            load_pool(str(file))
        except ConfigurationError:
            return


def records(text: str) -> None:
    """Records, or wrong use."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.jsonl"
        file.write_bytes(text.encode(errors="surrogatepass"))
        try:
            rows = read_records(file)
        except ConfigurationError:
            return
        assert all("attempts" in row for row in rows)


def answer(text: str) -> None:
    """A text, and tags around it that it cannot leave."""
    found, outcome = parse_answer(text)
    assert (outcome == "malformed") is not bool(found)
    assert resolve("#1 and #2", {"1": found}, "q") == f"{found} and #2"
    shown = instruct.subtask("x", query=text, known={"1": found}, template="use #2", inline={"2": text}).user
    assert shown.count("<data>") == shown.count("</data>") == 3


class Streams:
    """Streamed replies made of any bytes, from a server to a transport."""

    def __init__(self, server: FaultServer) -> None:
        self._server, self._rows = server, list[bytes]()
        server.script("fuzz", always=self._play)
        model: Any = ChatOpenAI(model="fuzz", base_url=server.url, api_key=SecretStr("none"), streaming=True, timeout=5)
        self._spec = ModelSpec(name="m", model=model, price=PRICE, max_output_tokens=8)

    async def _play(self, exchange: Exchange) -> None:
        await exchange.send(head(kind="text/event-stream"))
        for row in self._rows:
            if row:
                await exchange.send(chunk(row))
        await exchange.send(chunk(b""))
        await asyncio.sleep(0)

    def check(self, rows: list[bytes]) -> None:
        """A reply or an error of ours, and the attempt has its cost."""
        self._rows = rows
        call = Call(spec=self._spec, prompt=Prompt("q"), role="executor", budget=Budget(1.0))
        outcome = drive(Transport(max_tries=1).call(call))
        assert (outcome.reply is None) == isinstance(outcome.error, ModelCallError)
        assert all((a["cost_usd"] or 0) >= 0 for a in outcome.attempts)


def _toml(table: dict[Any, Any]) -> str:
    rows = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key.isidentifier()]
    return "[[models]]\n" + "\n".join(rows)


_FIELDS: Final[tuple[str, ...]] = (
    "name",
    "model",
    "base_url",
    "price",
    "group",
    "max_output_tokens",
    "capabilities",
    "embedded",
)
_WHOLE: Final = {"name": "a", "model": "m", "base_url": "http://localhost:1/v1", "price": "unknown"}
_POOL: Final = st.one_of(
    TEXT,
    st.tuples(st.sampled_from(_FIELDS), JSON).map(lambda pair: _toml({**_WHOLE, pair[0]: pair[1]})),
    st.dictionaries(st.sampled_from(_FIELDS), st.one_of(NUMBER, JSON, st.just("unknown")), max_size=8).map(_toml),
)
_USAGE: Final = st.fixed_dictionaries(
    {"input_tokens": NUMBER, "output_tokens": NUMBER, "total_tokens": NUMBER},
    optional={"input_token_details": st.one_of(JSON, st.fixed_dictionaries({"cache_read": NUMBER}))},
)
_EVENT: Final = st.one_of(
    st.binary(max_size=80),
    JSON.map(event),
    TEXT.map(lambda t: f"data: {t}\n\n".encode(errors="surrogatepass")),
    st.fixed_dictionaries({"choices": JSON, "usage": JSON, "id": JSON}).map(event),
)
_RECORD: Final = st.one_of(TEXT, st.lists(JSON.map(lambda v: json.dumps({"id": v})), max_size=4).map("\n".join))


def targets(server: FaultServer) -> dict[str, Target]:
    """The seven."""
    return {
        "plan": Target(SAID, plan),
        "allocation": Target(SAID, allocation),
        "usage": Target(_USAGE, usage),
        "SSE chunks": Target(st.lists(_EVENT, max_size=6), Streams(server).check),
        "pool file": Target(_POOL, pool_file),
        "run records": Target(_RECORD, records),
        "answer": Target(SAID, answer),
    }


def _fuzzed(name: str, target: Target, examples: int) -> Outcome:
    slowest, number, failed = 0.0, 0, ""

    def one(value: Any) -> None:
        nonlocal slowest, number
        number, began = number + 1, time.thread_time()
        target.check(value)
        slowest = max(slowest, time.thread_time() - began)

    quiet = settings(
        phases=[Phase.generate],  # a failure is only counted: shrinking it would take minutes
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    try:
        quiet(given(target.values)(one))()
    except BaseException as error:  # noqa: BLE001 - also groups of errors and a recursion's end
        failed = f"{type(error).__name__}: {error}"[:300]
    wrong = {failed: bool(failed), "slow": slowest > SLOW_S, "too few": not failed and number < examples // 2}
    return judged("S7", name, wrong, examples=number, slowest_s=round(slowest, 3))


def run(quick: bool) -> Iterator[Outcome]:
    """Every target."""
    with FaultServer() as server:
        for name, target in targets(server).items():
            yield guarded("S7", name, partial(_fuzzed, name, target, QUICK if quick else EXAMPLES))


def _believed() -> AbstractContextManager[Any]:
    return patch.object(replies, "usage_of", lambda message, _bounds: message.usage_metadata)


def _unchecked() -> AbstractContextManager[Any]:
    return patch.object(_Place, "check", lambda *_: None)


def _open_tags() -> AbstractContextManager[Any]:
    return patch.object(instruct, "_data", lambda text: f"<data>{text}</data>")


ROW: Final = Row(
    id="S7",
    title="fuzzed replies and files",
    criterion=f"{EXAMPLES} examples each of 7 targets: only our errors, none over {SLOW_S:g} s",
    run=run,
    protections={"usage check": _believed, "pool file check": _unchecked, "unforgeable tags": _open_tags},
)
