"""R1: every fault, sync and async, with one endpoint and with a healthy second one."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final, Literal
from unittest.mock import patch

from langchain_r2 import R2Context, bounded_http, errors
from langchain_r2.ledger import bill
from langchain_r2.transport import Reply, Transport, engine
from tests.scoreboard.fault_server import Exchange, FaultServer
from tests.scoreboard.faults import FAULTS, Fault
from tests.scoreboard.graphs import Mode, ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, judged
from tests.scoreboard.stock import stock_faults

ID: Final = "R1"
TRIES: Final = 3
SLACK_S: Final = 0.25
WORKERS: Final = 3
CAP_BYTES: Final = 16 * 1024 * 1024
"""Most that a client may take of a reply: twice the cap, for what the system keeps on the way."""
_QUICK: Final = ("429 Retry-After ms", "500", "401", "RST in body", "HTML with 200", "choices null", "empty content")
_QUICK_MORE: Final = (
    "30 MB",
    "307 to another origin",
    "usage negative",
    "trickle",
    "stream closed",
    "stream without finish reason",
    "429 insufficient_quota",
)
_numbers = itertools.count()

Endpoints = Literal["one endpoint", "healthy second"]


def run(quick: bool) -> Iterator[Outcome]:
    """All faults, two endpoints' worth of layouts, both ways."""
    faults = [f for f in FAULTS if not quick or f.name in _QUICK + _QUICK_MORE]
    one: Endpoints = "one endpoint"
    two: Endpoints = "healthy second"
    layouts = [(f, one) for f in faults]
    layouts += [(f, two) for f in faults if not quick or f.name in _QUICK]
    with FaultServer() as server, ThreadPoolExecutor(WORKERS) as threads:
        for pair in threads.map(partial(_both_ways, server), layouts):
            yield from pair


def _both_ways(server: FaultServer, layout: tuple[Fault, Endpoints]) -> list[Outcome]:
    outcomes = _tried(server, layout)
    if any(set(o.details.get("why", [])) & {"past the deadline", "waited too long"} for o in outcomes):
        outcomes = _tried(server, layout)  # other programs of the machine may have held it up
    return outcomes


def _tried(server: FaultServer, layout: tuple[Fault, Endpoints]) -> list[Outcome]:
    fault, endpoints = layout
    modes: tuple[Mode, Mode] = ("sync streamed", "async streamed") if fault.streamed else ("sync", "async")
    try:
        seen = [_seen(server, fault, endpoints, mode) for mode in modes]
    except Exception as error:  # noqa: BLE001 - nothing may come through, and it must not end the other scenarios
        why = [f"raised {type(error).__name__}: {error}"[:300]]
        named = [f"{fault.name}, {mode}, {endpoints}" for mode in modes]
        return [Outcome(row=ID, scenario=name, passed=False, details={"why": why}) for name in named]
    differ = seen[0]["same"] != seen[1]["same"]
    return [
        judged(
            ID,
            f"{fault.name}, {mode}, {endpoints}",
            {**s["wrong"], "sync and async differ": differ},
            **s["same"],
            wall_s=round(s["wall_s"], 3),
        )
        for mode, s in zip(modes, seen, strict=True)
    ]


def _seen(server: FaultServer, fault: Fault, endpoints: Endpoints, mode: Mode) -> dict[str, Any]:
    """What came of it: what has to be the same sync and async, and what was wrong."""
    word = f"w{next(_numbers)}"
    names = [f"{word}-a", f"{word}-b"][: 1 if endpoints == "one endpoint" else 2]
    alone = len(names) == 1
    server.script(names[0], [fault.play] if alone else [], None if alone else fault.play)
    graph = graph_of([spec(server.url, name) for name in names])
    started = time.monotonic()
    context = R2Context(budget_usd=1.0, deadline_s=fault.deadline_s or 20.0)
    output = ask(graph, f"id={word}", mode, context=context)
    wall_s = time.monotonic() - started
    requests = [len(server.of(name)) for name in names]
    same = {
        "status": output["status"],
        "answer": "right" if output["answer"] == word else str(output["answer"])[:40],
        "errors": [a["error_type"] for a in output["attempts"]],
        "requests": requests,
    }
    wrong = _wrong(fault, output, word, alone=alone)
    wrong |= _wrong_at_server(server, fault, names[0])
    spent = sum(map(server.spent_usd, names))
    cost = bill(output["attempts"]).cost_usd
    wrong["bill below the server's"] = cost is None or cost < spent - 1e-9
    if fault.deadline_s:
        wrong["past the deadline"] = wall_s > fault.deadline_s + (2 if alone else 4) * SLACK_S  # R3 measures it
    return {"same": same, "wrong": wrong, "wall_s": wall_s}


def _wrong(fault: Fault, output: Mapping[str, Any], word: str, *, alone: bool) -> dict[str, bool]:
    """What is wrong with the result of a run."""
    kinds = [a["error_type"] for a in output["attempts"]]
    typed = all(k is None or isinstance(getattr(errors, k, None), type) for k in kinds)
    good = output["status"] == "ok" and output["answer"] == word
    failed = output["status"] == "error" and any(kinds) and not output["answer"]
    marked = output["status"] == "best_effort"
    allowed = fault.alone if alone else ("answer",)
    happened = {"answer": good, "error": failed, "marked": marked}
    return {
        "malformed accepted": output["status"] == "ok" and output["answer"] != word,
        "untyped error": not typed,
        "result not allowed": not any(happened[kind] for kind in allowed),
    }


def _wrong_at_server(server: FaultServer, fault: Fault, faulty: str) -> dict[str, bool]:
    """What the server saw that should not have been."""
    exchanges = server.of(faulty)
    pairs: Iterable[tuple[Exchange, Exchange]] = itertools.pairwise(exchanges)
    waits = [(b.arrived_s - (a.ended_s or a.arrived_s), a.asked_wait_s) for a, b in pairs]
    return {
        "too many requests": len(exchanges) > TRIES,
        "sent again": not fault.again and len(exchanges) > 1,
        "Retry-After broken": any(pause < asked - 0.005 for pause, asked in waits),
        "waited too long": any(asked and pause > 1.25 * asked + SLACK_S for pause, asked in waits),
        "redirect followed": any(e.model == faulty for e in server.elsewhere),
        "reply without a cap": any(e.sent_bytes > CAP_BYTES for e in exchanges),
    }


def one_try() -> AbstractContextManager[Any]:
    """Nothing is tried again."""
    real = Transport.__init__
    return patch.object(Transport, "__init__", lambda self, **options: real(self, **{**options, "max_tries": 1}))


def replies_unseen() -> AbstractContextManager[Any]:
    """Every reply is taken as it is."""

    def read_reply(message: Any, *_: Any, **__: Any) -> Reply:
        return Reply(str(message.text), "stop", None, ())

    return patch.object(engine, "read_reply", read_reply)


def impatience() -> AbstractContextManager[Any]:
    """What an endpoint asks to wait for is not obeyed."""
    return patch.object(engine, "pause_s", lambda *_: 0.01)


def optimism() -> AbstractContextManager[Any]:
    """What may have been billed, but was not seen, costs nothing."""
    return patch.object(errors.ModelCallError, "may_be_billed", property(lambda _: False, lambda *_: None))


def all_may_pass() -> AbstractContextManager[Any]:
    """Every error is thought to pass."""
    return patch.object(errors.ModelCallError, "may_pass", property(lambda _: True, lambda *_: None))


def no_cap() -> AbstractContextManager[Any]:
    """Replies of any size are read."""
    return patch.object(bounded_http.bounded_clients, "__defaults__", (2**62,))


def any_origin() -> Iterator[None]:
    """Redirects are followed."""
    real = bounded_http.bounded_clients

    def clients() -> bounded_http.Clients:
        made = real()
        made.sync.follow_redirects = made.asynchronous.follow_redirects = True
        return made

    with (
        patch.object(bounded_http, "bounded_clients", clients),
        patch.object(bounded_http.Origin, "check", lambda *_: None),
    ):
        yield


ROW: Final = Row(
    id=ID,
    title="fault matrix: 45 faults, sync and async, one endpoint and a healthy second",
    criterion="right answer or typed error; nothing malformed accepted; at most 3 requests a call; Retry-After kept, "
    "at most 1.25 times it; bill not below the server's; no difference between sync and async",
    run=run,
    protections={
        "retries": one_try,
        "a look at replies": replies_unseen,
        "Retry-After": impatience,
        "error classes": all_may_pass,
        "bounds for unknown costs": optimism,
        "the cap": no_cap,
        "the configured origin": contextmanager(any_origin),
    },
    stock=stock_faults,
)
