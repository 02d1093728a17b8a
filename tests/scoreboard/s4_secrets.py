"""S4: canary secrets, put in at six places, are looked for in everything that is kept, shown or sent on."""

import io
import json
import logging
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.checkpoint.sqlite import SqliteSaver

from langchain_r2 import ModelPool, R2Context, create_r2_graph
from langchain_r2.call_ledger import CallLedger
from langchain_r2.pool_file import load_pool
from langchain_r2.routers.baselines import cheapest
from langchain_r2.run_record import failed_record, run_record, to_json
from langchain_r2.transport import Transport
from tests.scoreboard.fault_server import Exchange, FaultServer, completion, head, send_json
from tests.scoreboard.graphs import PRICE, Parts, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged

CANARY: Final = "canary-5f3a9c1b7d2e"
VARIABLE: Final = "R2_SCOREBOARD_API_KEY"
THREAD: Final = {"thread_id": "1"}


class Everything(BaseCallbackHandler):
    """Keeps all that tracers are told, exceptions with their tracebacks."""

    def __init__(self) -> None:
        self.told = io.StringIO()

    def _keep(self, *args: Any, **kwargs: Any) -> None:
        self.told.write(repr((args, kwargs)))
        for value in args:
            if isinstance(value, BaseException):
                self.told.write("".join(traceback.format_exception(value)))

    on_chain_start = on_chain_end = on_chain_error = _keep
    on_chat_model_start = on_llm_start = on_llm_end = on_llm_error = _keep


async def echo_in_error(exchange: Exchange) -> None:
    """A 401 that shows the key that it was sent."""
    content = json.dumps({"error": {"message": f"Incorrect API key provided: {CANARY}", "code": CANARY}}).encode()
    await exchange.send(head("401 Unauthorized", len(content), x_key=CANARY) + content)


async def echo_in_answer(exchange: Exchange) -> None:
    """A good reply that shows it."""
    await send_json(exchange, completion(exchange, f"answer: your key is {CANARY}"))


@contextmanager
def _logs(into: io.StringIO) -> Iterator[None]:
    """Everything that is logged, at DEBUG."""
    handler, root = logging.StreamHandler(into), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _files(folder: Path) -> str:
    return "".join(file.read_bytes().decode(errors="replace") for file in folder.iterdir())


def _used(server: FaultServer, model: str, config: dict[str, Any], folder: Path) -> dict[str, str]:
    """What is in every sink after a run with a checkpointer, a call ledger, callbacks and logs at DEBUG."""
    seen, logged = Everything(), io.StringIO()
    made = spec(server.url, model, api_key_env=VARIABLE)
    pool = ModelPool([made])
    with ExitStack() as stack:
        stack.enter_context(_logs(logged))
        saver = stack.enter_context(SqliteSaver.from_conn_string(str(folder / "runs.db")))
        saver.conn.execute("PRAGMA synchronous=OFF")
        ledger = stack.enter_context(CallLedger(folder / "calls.db"))
        graph = create_r2_graph(
            pool,
            decomposer=Parts(),
            allocator=cheapest(pool),
            transport=Transport(max_tries=1),
            checkpointer=saver,
            ledger=ledger,
        )
        options: Any = {**config, "configurable": {**THREAD, **config.get("configurable", {})}, "callbacks": [seen]}
        output = graph.invoke({"query": "q"}, options, context=R2Context())
        state = repr(graph.get_state({"configurable": THREAD}))
        (folder / "runs.jsonl").write_text(to_json(run_record(output, id="1", wall_s=0.0)))
        shown = f"{pool!r} {pool.models!r} {graph!r} {output!r}"
    return {
        "repr": shown,
        "log": logged.getvalue(),
        "trace": seen.told.getvalue(),
        "state": state,
        "checkpoint, ledger, record": _files(folder),
        "pickle": pickle.dumps((pool, made)).decode(errors="replace"),
    }


def _searched(scenario: str, sinks: dict[str, str]) -> Iterator[Outcome]:
    for sink, text in sinks.items():
        place = text.find(CANARY)
        near = text[max(0, place - 60) : place] if place >= 0 else ""
        yield judged("S4", f"{scenario} in {sink}", {"found": place >= 0}, near=near)


def _raised(work: Callable[[], object]) -> dict[str, str]:
    """The exception of wrong use, in every form that one takes."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever is raised is looked through
        kept = pickle.dumps(error).decode(errors="replace")
        record = to_json(failed_record("q", error, id="1", wall_s=0.0))
        return {"message": str(error), "traceback": "".join(traceback.format_exception(error)), "pickle": kept,
                "repr": repr(error), "record": record}  # fmt: skip
    return {}


def _file_pool(line: str) -> ModelPool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pool.toml"
        file.write_text(f'[[models]]\nname = "m"\nmodel = "x"\nprice = "unknown"\n{line}\n')
        return load_pool(str(file))


WRONG: Final[dict[str, Callable[[], object]]] = {
    "argument (key in a pool file)": lambda: _file_pool(f'api_key = "{CANARY}"'),
    "argument (key for a variable's name)": lambda: _file_pool(f'api_key_env = "{CANARY}!"'),
    "URL userinfo": lambda: spec(f"http://user:{CANARY}@127.0.0.1/v1", "m", price=PRICE),
    "URL userinfo in a pool file": lambda: _file_pool(f'base_url = "http://user:{CANARY}@127.0.0.1/v1"'),
}
RUNS: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "env": (None, {}),
    "env, echoed by a 401": (echo_in_error, {}),
    "env, echoed by an answer": (echo_in_answer, {}),
    "configurable": (None, {"configurable": {"openai_api_key": CANARY, "token": CANARY}}),
    "metadata": (None, {"metadata": {"api_key": CANARY, "note": f"Bearer {CANARY}"}}),
}


def run(quick: bool) -> Iterator[Outcome]:
    """Every place times every sink."""
    del quick  # all of it takes seconds
    with FaultServer() as server, patch.dict(os.environ, {VARIABLE: CANARY}):
        for number, (name, (play, config)) in enumerate(RUNS.items()):
            model = f"s4x{number}"
            server.script(model, [play] * 9 if play else [])
            with tempfile.TemporaryDirectory() as folder:
                yield from _all(name, partial(_used, server, model, config, Path(folder)))
    for name, work in WRONG.items():
        yield from _all(name, partial(_raised, work))
    yield guarded("S4", "prompt in errors", _prompt)


def _all(name: str, work: Callable[[], dict[str, str]]) -> Iterator[Outcome]:
    try:
        sinks = work()
    except Exception as error:  # noqa: BLE001 - a scenario that breaks has failed
        sinks = {}
        why = f"{type(error).__name__}: {error}"[:300]
        yield Outcome(row="S4", scenario=name, passed=False, details={"why": [why]})
    else:
        yield judged("S4", f"{name} was tried", {"no sinks": not sinks})
    yield from _searched(name, sinks)


def _prompt() -> Outcome:
    """A prompt is in no repr, error or log of ours where nobody traces."""
    logged = io.StringIO()
    with FaultServer() as server, _logs(logged), patch.dict(os.environ, {VARIABLE: "none-of-it"}):
        server.script("s4p", [echo_in_error] * 9)
        logging.getLogger("openai").setLevel(logging.INFO)  # at DEBUG it shows requests: that is tracing
        pool = ModelPool([spec(server.url, "s4p", api_key_env=VARIABLE)])
        graph = create_r2_graph(pool, decomposer=Parts(), allocator=cheapest(pool), transport=Transport(max_tries=1))
        output = graph.invoke({"query": "prompt-canary-1"})
    said = f"{pool!r} {output['error']} {logged.getvalue()}"
    return judged("S4", "prompt in errors and logs", {"found": "prompt-canary-1" in said})


def _nothing_hidden() -> AbstractContextManager[Any]:
    stack = ExitStack()
    for place in ("langchain_r2.transport.failures.scrubbed", "langchain_r2.run_record.scrubbed"):
        stack.enter_context(patch(place, lambda text, *_: text))
    for place in ("langchain_r2.transport.engine.without", "langchain_r2.scrubbing.without_bytes"):
        stack.enter_context(patch(place, lambda text, _: text))
    return stack


def _kept_config() -> AbstractContextManager[Any]:
    return patch("langchain_r2.discretion.without_secret_names", dict)


ROW: Final = Row(
    id="S4",
    title="canary secrets in every sink",
    criterion="no key in any sink; prompts only where tracing is on",
    run=run,
    protections={"scrubbed replies": _nothing_hidden, "discreet config": _kept_config},
)
