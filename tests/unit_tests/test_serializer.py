"""Checkpoints: what is on the list comes back, everything else is refused before it is built."""

import datetime
import decimal
import gc
import pickle
import sqlite3
import uuid
from collections import deque
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Send

from langchain_r2.errors import BadValueError, CheckpointError
from langchain_r2.serializer import StrictSerializer, hardened
from langchain_r2.testing import scripted_message

THREAD: Any = {"configurable": {"thread_id": "1"}}


class Mine(HumanMessage):
    """A message class that is not on the list."""


def forged(target: Path, code: int = 0) -> bytes:
    """A value that runs a command when it is read."""
    inside = {0: ["os", "system", f"touch {target}"], 1: ["os", "system", [f"touch {target}"]]}[code]
    return ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(inside)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"bytes",
        bytearray(b"x"),
        {"plan": {"subtasks": [{"id": "1", "text": "a", "depends_on": []}]}, "n": [1, 2.5, None, True, "é"]},
        [HumanMessage("q"), AIMessage("a", response_metadata={"model_name": "r2"}), ToolMessage("t", tool_call_id="1")],
        {"when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "days": datetime.timedelta(days=1)},
        {"id": uuid.UUID(int=7), "sum": decimal.Decimal("1.5"), "seen": {1, 2}, "last": deque([1])},
        [Send("subtask", {"id": "1"}), Interrupt("why?")],
    ],
)
def test_what_a_state_can_hold_comes_back(value: Any) -> None:
    serde = StrictSerializer()
    assert serde.loads_typed(serde.dumps_typed(value)) == value


@pytest.mark.parametrize("code", [0, 1])
def test_a_forged_value_runs_nothing(tmp_path: Path, code: int) -> None:
    payload = forged(tmp_path / "ran", code)
    with pytest.raises(CheckpointError, match=r"an object of 'os\.system'"):
        StrictSerializer().loads_typed(("msgpack", payload))
    assert not (tmp_path / "ran").exists()
    JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(("msgpack", payload))  # the stock serializer runs it
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (("pickle", pickle.dumps(1)), "kind 'pickle'"),
        (("json", b"{}"), "kind 'json'"),
        (("msgpack", ormsgpack.packb("long enough")[:4]), "not whole"),
        (("msgpack", b"\x91" * 5000 + b"\x01"), "not whole"),
        (("msgpack", ormsgpack.packb("x" * 7000)), "7003 bytes"),
        (("msgpack", ormsgpack.packb(ormsgpack.Ext(6, ormsgpack.packb([1, 2, 3])))), "extension 6"),
        (("msgpack", ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(7)))), "names no type"),
        (("msgpack", ormsgpack.packb(ormsgpack.Ext(3, ormsgpack.packb(["os", "x", "y", "system"])))), "call of"),
    ],
)
def test_what_cannot_be_ours_is_refused(data: tuple[str, bytes], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        StrictSerializer(max_bytes=6000).loads_typed(data)


def test_an_object_inside_a_list_inside_a_message_is_found() -> None:
    inner = ormsgpack.Ext(0, ormsgpack.packb(["os", "getpid", 0]))
    message = ["langchain_core.messages.human", "HumanMessage", {"content": [inner]}, "x"]
    payload = ormsgpack.packb({"messages": [ormsgpack.Ext(5, ormsgpack.packb(message))]})
    with pytest.raises(CheckpointError, match=r"os\.getpid"):
        StrictSerializer().loads_typed(("msgpack", payload))


def test_types_of_ones_own_can_be_named() -> None:
    data = StrictSerializer().dumps_typed(Mine(content="hello"))
    with pytest.raises(CheckpointError, match="Mine"):
        StrictSerializer().loads_typed(data)
    back = StrictSerializer([Mine]).loads_typed(data)
    assert isinstance(back, Mine)


class Reversing(CipherProtocol):
    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "reversing", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return ciphertext[::-1]


def test_a_saver_with_the_default_serializer_is_hardened_and_the_users_own_object_left_as_it_is() -> None:
    saver = InMemorySaver()
    made = hardened(saver, "checkpointer")
    assert isinstance(made.serde, StrictSerializer)
    assert type(saver.serde) is JsonPlusSerializer
    assert vars(made)["storage"] is saver.storage  # the same threads
    assert isinstance(hardened(InMemoryCache(), "cache").serde, StrictSerializer)


def test_the_serializer_inside_an_encryption_is_hardened() -> None:
    made = hardened(InMemorySaver(serde=EncryptedSerializer(Reversing())), "checkpointer")
    assert isinstance(made.serde, EncryptedSerializer)
    assert isinstance(made.serde.serde, StrictSerializer)
    assert made.serde.loads_typed(made.serde.dumps_typed([1])) == [1]


@pytest.mark.parametrize("serde", [JsonPlusSerializer(allowed_msgpack_modules=[Mine]), StrictSerializer([Mine])])
def test_a_list_of_the_users_own_is_left_alone(serde: Any) -> None:
    saver = InMemorySaver(serde=serde)
    assert hardened(saver, "checkpointer") is saver


def test_a_saver_that_reads_pickles_is_refused(make: Any) -> None:
    saver = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=True))
    with pytest.raises(BadValueError, match=r"serde of the checkpointer .*pickles.*StrictSerializer"):
        make("answer: a", checkpointer=saver)


def test_a_context_manager_is_no_checkpointer(make: Any) -> None:
    with pytest.raises(BadValueError, match="as saver"):
        make("answer: a", checkpointer=iter([]))


def test_a_forged_row_in_the_database_of_a_graph_runs_nothing(make: Any, tmp_path: Path) -> None:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        graph = make(lambda p: scripted_message("answer: a", p), checkpointer=saver).graph
        assert graph.invoke({"query": "q"}, THREAD)["answer"] == "a"
        with sqlite3.connect(tmp_path / "runs.db") as db:
            db.execute("UPDATE checkpoints SET type = 'msgpack', checkpoint = ?", (forged(tmp_path / "ran"),))
        with pytest.raises(CheckpointError, match=r"os\.system"):
            graph.invoke({"query": "q"}, THREAD)
        with pytest.raises(CheckpointError, match=r"os\.system"):
            graph.get_state(THREAD)
    assert not (tmp_path / "ran").exists()


def test_a_cache_that_nobody_else_holds_stays_open(make: Any, tmp_path: Path) -> None:
    from langgraph.cache.sqlite import SqliteCache

    cache = make("answer: a", cache=SqliteCache(path=str(tmp_path / "cache.db"))).graph.cache
    gc.collect()
    cache.set({(("n",), "k"): ({"a": 1}, None)})
    assert cache.get([(("n",), "k")]) == {(("n",), "k"): {"a": 1}}
