"""R3: nothing takes longer than it may, and nothing that could be billed runs on."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from langchain_r2 import R2Context
from langchain_r2.transport import Transport
from tests.scoreboard.fault_server import FaultServer, Play, healthy
from tests.scoreboard.faults import body_hang, header_hang, status, stream_trickle, streamed, trickle
from tests.scoreboard.graphs import Mode, ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged, looked_again
from tests.scoreboard.stock import stock_model

ID: Final = "R3"
DEADLINE_S: Final = 1.0
SLACK_S: Final = 0.25
CLOSED_S: Final = 0.25
"""How soon after the return the server must see every connection of the call closed."""
LONGEST_S: Final = 20.0
"""How long the stock model is waited for: it would obey a Retry-After of 120 s."""
_numbers = itertools.count()


class Slow(NamedTuple):
    """One way to take too long."""

    name: str
    play: Play
    streamed: bool = False
    tries: int = 3


CASES: Final = (
    Slow("header hang", header_hang),
    Slow("body hang", body_hang),
    Slow("trickle, a byte each 50 ms", trickle),
    Slow("stream stall", streamed((0, 1, 2), "hang"), streamed=True),
    Slow("stream trickle, an event each 50 ms", stream_trickle, streamed=True),
    Slow("retry storm", status("500 Error"), tries=1000),
    Slow("retry storm, Retry-After 0.3 s", status("429 Too Many", retry_after_ms="300"), tries=1000),
    Slow("429 with Retry-After 120 s", status("429 Too Many", retry_after="120")),
)


def run(quick: bool) -> Iterator[Outcome]:
    """All cases, sync and async."""
    cases = [case for case in CASES if not quick or case.name.startswith(("header", "trickle", "stream trickle"))]
    layouts = [(case, way) for case in cases for way in ("sync", "async")]
    with FaultServer() as server, ThreadPoolExecutor(2) as threads:
        yield from threads.map(partial(_guarded, server), layouts)


def _guarded(server: FaultServer, layout: tuple[Slow, str]) -> Outcome:
    case, way = layout
    work = partial(_timed, server, case, way)
    return guarded(ID, f"{case.name}, {way}", lambda: looked_again(work, ["past the deadline", "a request runs on"]))


def _timed(server: FaultServer, case: Slow, way: str) -> Outcome:
    name = f"r3-{next(_numbers)}"
    server.script(name, [healthy], always=case.play)
    graph = graph_of([spec(server.url, name)], transport=Transport(max_tries=case.tries, first_delay_s=0.02))
    mode: Mode = "sync" if way == "sync" else "async"
    mode = mode if not case.streamed else "sync streamed" if way == "sync" else "async streamed"
    warm = ask(graph, "id=warm", mode, context=R2Context(deadline_s=10.0))  # the client is made by now
    started = time.monotonic()
    output = ask(graph, "id=x", mode, context=R2Context(deadline_s=DEADLINE_S))
    ended = time.monotonic()
    wall_s, requests = ended - started, len(server.of(name))
    time.sleep(CLOSED_S)
    open_ = [e for e in server.of(name) if e.ended_s is None or e.ended_s > ended + CLOSED_S]
    time.sleep(CLOSED_S)
    wrong = {
        "past the deadline": wall_s > DEADLINE_S + max(SLACK_S, 0.05 * DEADLINE_S),
        "a request runs on": bool(open_),
        "asked again after the end": len(server.of(name)) > requests,
        "no error": output["status"] != "error" or not output["attempts"][-1]["error_type"],
        "a healthy call failed": warm["answer"] != "warm",
        "not tried": requests < 2,
    }
    errors = sorted({str(a["error_type"]) for a in output["attempts"]})
    return judged(ID, f"{case.name}, {way}", wrong, wall_s=round(wall_s, 3), requests=requests - 1, errors=errors)


def stock(quick: bool) -> Iterator[Outcome]:
    """ChatOpenAI with a timeout of as many seconds."""
    with FaultServer() as server:
        for way in ("sync", "async"):
            measured = [(case, _Timed(server, case, way)) for case in (CASES[:3] if quick else CASES)]
            for _, timed in measured:
                timed.join(max(0.0, timed.started_s + LONGEST_S - time.monotonic()))
            for case, timed in measured:
                wrong = {"past the timeout": timed.wall_s > DEADLINE_S + SLACK_S}
                yield judged(ID, f"{case.name}, {way}", wrong, wall_s=round(timed.wall_s, 3))


class _Timed(threading.Thread):
    """How long ChatOpenAI takes; it may be waited for in vain."""

    def __init__(self, server: FaultServer, case: Slow, way: str) -> None:
        super().__init__(daemon=True)
        self.model = f"s3-{next(_numbers)}"
        self.wall_s = LONGEST_S
        self.started_s = time.monotonic()
        self.case, self.way, self.server = case, way, server
        server.script(self.model, always=case.play)
        self.start()

    def run(self) -> None:
        with suppress(Exception):  # what counts is how long it took
            if self.way == "async":
                asyncio.run(self._aask())
            elif self.case.streamed:
                list(stock_model(self.server.url, self.model).stream("id=x"))
            else:
                stock_model(self.server.url, self.model).invoke("id=x")
        self.wall_s = time.monotonic() - self.started_s

    async def _aask(self) -> None:
        model = stock_model(self.server.url, self.model)
        if self.case.streamed:
            async for _ in model.astream("id=x"):
                pass
        else:
            await model.ainvoke("id=x")


def no_deadline() -> AbstractContextManager[Any]:
    """Calls have no deadline; the quick cases then end by themselves after seconds."""
    real = Transport.call

    def call(self: Transport, made: Any) -> Any:
        object.__setattr__(made, "deadline_s", 4.0)
        return real(self, made)

    return patch.object(Transport, "call", call)


ROW: Final = Row(
    id=ID,
    title="deadlines: hangs, trickles, stalls, retry storms",
    criterion="returns within the deadline + max(0.25 s, 5 %), sync too; every connection closed 0.25 s later, nothing "
    "asked again",
    run=run,
    protections={"the deadline": no_deadline},
    stock=stock,
)
