"""S3: forged checkpoints, caches, ledgers and weights run nothing and build nothing that is not on our list."""

import pickle
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import ormsgpack
from langgraph.cache.base import BaseCache
from langgraph.cache.sqlite import SqliteCache
from langgraph.checkpoint.sqlite import SqliteSaver

import langchain_r2.graph
from langchain_r2 import R2Error
from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.pool_file import load_pool
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.routers.local import LocalChatModel
from langchain_r2.testing import scripted_pool
from tests.scoreboard.row import Outcome, Row, guarded, judged

THREAD: Final[Any] = {"configurable": {"thread_id": "1"}}
_RUNS: Final = frozenset({"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen"})
_seen: list[str] = []
_hooked: list[bool] = []


class Forged(NamedTuple):
    """A stored value: its kind and its bytes."""

    kind: str
    data: bytes


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _RUNS:
        _seen.append(event)


def _packed(code: int, inside: Any) -> ormsgpack.Ext:
    return ormsgpack.Ext(code, ormsgpack.packb(inside))


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.command,)


def forged(target: Path) -> dict[str, Forged]:
    """Values by what is wrong with them; each would create the target, or build something, if it were built."""
    run = f"touch {target}"
    message = {"content": [_packed(0, ["os", "system", run])], "type": "human"}
    objects = {
        "constructor of one argument": _packed(0, ["os", "system", run]),
        "constructor of arguments": _packed(1, ["os", "system", [run]]),
        "constructor of named arguments": _packed(2, ["subprocess", "Popen", {"args": run, "shell": True}]),
        "method": _packed(3, ["pathlib", "Path", str(target), "touch"]),
        "method under an allowed name": _packed(3, ["datetime", "datetime", run, "__init_subclass__"]),
        "pydantic 1": _packed(4, ["subprocess", "Popen", {"args": run, "shell": True}]),
        "pydantic 2": _packed(5, ["subprocess", "Popen", {"args": run, "shell": True}, "model_validate_json"]),
        "array": _packed(6, ["<f8", [1], "C", b"\0" * 8]),
        "snapshot around a constructor": _packed(7, [_packed(0, ["os", "system", run])]),
        "unknown extension": _packed(42, ["os", "system", run]),
        "inside a message": _packed(5, ["langchain_core.messages.human", "HumanMessage", message, "x"]),
        "type that is no text": _packed(0, [["os"], "system", run]),
        "type without an argument": _packed(0, ["os"]),
        "pattern": _packed(1, ["re", "compile", ["(a+)+", 0]]),
        "key in a SecretStr": _packed(0, ["pydantic", "SecretStr", "x"]),
        "langchain object": _packed(5, ["langchain_openai.chat_models.base", "ChatOpenAI", {}, "x"]),
    }
    whole = ormsgpack.packb({"v": 4, "channel_values": {"query": "q" * 100}})
    revived = b'{"lc":2,"type":"constructor","id":["os","system"],"args":["%s"]}' % run.encode()
    nested = b'{"lc":1,"type":"constructor","id":["langchain","prompts","prompt","PromptTemplate"],"kwargs":{}}'
    return {
        **{name: Forged("msgpack", ormsgpack.packb({"channel_values": {"query": v}})) for name, v in objects.items()},
        "pickle": Forged("pickle", pickle.dumps(Bomb(run))),
        "json constructor": Forged("json", revived),
        "json of a langchain object": Forged("json", nested),
        "unknown kind": Forged("yaml", b"!!python/object/apply:os.system ['true']"),
        "truncated": Forged("msgpack", whole[:-20]),
        "empty": Forged("msgpack", b""),
        "a list of 4 thousand million": Forged("msgpack", b"\xdd\xff\xff\xff\xff" + whole),
        "nested 100,000 deep": Forged("msgpack", b"\x91" * 100_000 + b"\x01"),
        "too long": Forged("msgpack", b"\xc6\x10\x00\x00\x01" + bytes(2**28 + 1)),
    }


def _graph(saver: Any = None, cache: Any = None) -> Any:
    pool = scripted_pool(["answer: a"])
    decomposer, allocator = NoDecomposer(), cheapest(pool)
    return langchain_r2.graph.create_r2_graph(
        pool, decomposer=decomposer, allocator=allocator, checkpointer=saver, cache=cache
    )


def _tried(scenario: str, target: Path, work: Callable[[], object]) -> Outcome:
    """The outcome of reading what is forged: a typed error, and nothing ran."""
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    _seen.clear()
    raised: Exception | None = None
    try:
        work()
    except Exception as error:  # noqa: BLE001 - which it is is what is looked at
        raised = error
    wrong = {"it ran": target.exists() or bool(_seen), "no typed error": not isinstance(raised, R2Error)}
    return judged("S3", scenario, wrong, error=f"{type(raised).__name__}: {raised}"[:200], ran=list(_seen))


def _checkpoint(scenario: str, value: Forged, column: str, folder: Path) -> Outcome:
    target = folder / "ran"
    with SqliteSaver.from_conn_string(str(folder / "runs.db")) as saver:
        saver.conn.execute("PRAGMA synchronous=OFF")  # nothing here has to survive a power cut
        graph = _graph(saver)
        graph.invoke({"query": "q"}, THREAD)
        with closing(sqlite3.connect(folder / "runs.db")) as db, db:
            table, field = ("checkpoints", "checkpoint") if column == "checkpoint" else ("writes", "value")
            db.execute(f"UPDATE {table} SET type = ?, {field} = ?", value)  # noqa: S608 - two constants
        return _tried(f"{column}: {scenario}", target, lambda: graph.invoke({"query": "q"}, THREAD))


def _cached(scenario: str, value: Forged, folder: Path) -> Outcome:
    made: BaseCache[Any] = _graph(cache=SqliteCache(path=str(folder / "cache.db"))).cache
    made.set({(("n",), "k"): ({"query": "q"}, None)})
    with closing(sqlite3.connect(folder / "cache.db")) as db, db:
        db.execute("UPDATE cache SET encoding = ?, val = ?", value)
    return _tried(f"cache: {scenario}", folder / "ran", lambda: made.get([(("n",), "k")]))


def _pool_file(folder: Path) -> Outcome:
    file = folder / "pool.toml"
    file.write_text(f"!!python/object/apply:os.system ['touch {folder / 'ran'}']")
    return _tried("pool file: YAML tags", folder / "ran", lambda: load_pool(str(file)))


def _weights(name: str, folder: Path) -> Outcome:
    """A folder whose weights are a pickle, under its own name or that of safetensors."""
    (folder / name).write_bytes(pickle.dumps(Bomb(f"touch {folder / 'ran'}")))
    shutil.copy(HOME / "r2-nano" / "config.json", folder)
    model = EmbeddedChatModel(folder=folder, tokenizer_file=HOME / "tokenizer" / "tokenizer.json")
    return _tried(f"weights: {name}", folder / "ran", model.load)


def _adapter(name: str, folder: Path) -> Outcome:
    """An adapter on a good model; for transformers, which would take a pickle."""
    (folder / name).write_bytes(pickle.dumps(Bomb(f"touch {folder / 'ran'}")))
    base, tokenizer = HOME / "router" / "allocator_base", HOME / "tokenizer"
    shutil.copy(HOME / "router" / "allocator" / "adapter_config.json", folder)
    model = LocalChatModel(path=str(base), adapter=str(folder), tokenizer_path=str(tokenizer))
    return _tried(f"adapter: {name}", folder / "ran", model.load)


def _scenarios(quick: bool) -> Iterator[tuple[str, Callable[[Path], Outcome]]]:
    names = list(forged(Path("x")))
    for name in names[:-1:4] if quick else names:
        yield name, lambda folder, name=name: _checkpoint(name, forged(folder / "ran")[name], "checkpoint", folder)  # type: ignore[misc]
    for name in names[1:3] if quick else names[::3]:
        yield name, lambda folder, name=name: _cached(name, forged(folder / "ran")[name], folder)  # type: ignore[misc]
    yield "pool file", _pool_file
    yield "weights", partial(_weights, "pytorch_model.bin")
    if not quick:
        yield "weights", partial(_weights, "model.safetensors")
        for name in ("adapter_model.bin", "adapter_model.safetensors"):
            yield name, partial(_adapter, name)


def run(quick: bool) -> Iterator[Outcome]:
    """Every forged value as a checkpoint, some in a cache, and files."""
    for name, scenario in _scenarios(quick):
        with tempfile.TemporaryDirectory() as folder:
            yield guarded("S3", name, partial(scenario, Path(folder)))


def _permissive() -> AbstractContextManager[Any]:
    """LangGraph's own serializer in place of ours."""
    return patch("langchain_r2.graph.hardened", lambda saver, _name: saver)


def _any_weights() -> AbstractContextManager[Any]:
    return patch("langchain_r2.embedded.chat.check_folder", lambda *_: None)


ROW: Final = Row(
    id="S3",
    title="forged checkpoints, caches, weights",
    criterion="nothing runs, nothing outside the list is built, typed error",
    run=run,
    protections={"strict serializer": _permissive, "safetensors only": _any_weights},
)
