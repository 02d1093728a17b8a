"""R7: a model that keeps failing is left alone, and one probe finds out when it is back; the clock is ours."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal
from unittest.mock import patch

from langchain_r2.flow import arun, run
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call, Transport, engine
from langchain_r2.transport import Outcome as CallOutcome
from langchain_r2.transport.breaker import Breaker, Permit
from tests.scoreboard.fault_server import Exchange, FaultServer, Play, slow
from tests.scoreboard.faults import status
from tests.scoreboard.graphs import spec
from tests.scoreboard.row import Outcome, Row, guarded, judged

ID: Final = "R7"
OPEN_S: Final = 5.0
CALLERS: Final = 50
PROBE_S: Final = 0.4
"""How long the endpoint takes at half-open: meanwhile all callers come."""
DEAD: Final = status("503 Unavailable")
Way = Literal["threads", "tasks", "both"]
WAYS: Final[tuple[Way, ...]] = ("threads", "tasks", "both")
THRESHOLDS: Final = (2, 5)
_numbers = itertools.count()


@dataclass
class Clock:
    """A clock that is set by hand."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Scene:
    """A transport with one model behind the server."""

    server: FaultServer
    clock: Clock
    threshold: int
    way: Way

    def __post_init__(self) -> None:
        self.name = f"r7-{next(_numbers)}"
        self.model: ModelSpec = spec(self.server.url, self.name)
        self.transport = Transport(max_tries=1, breaker_failures=self.threshold, breaker_open_s=OPEN_S)

    @property
    def requests(self) -> list[Exchange]:
        return self.server.of(self.name)

    def answer(self, *first: Play, always: Play | None = None) -> None:
        """Say what the endpoint does from now on."""
        self.server.script(self.name, first, always)

    def call(self) -> Any:
        made = Call(spec=self.model, prompt=Prompt("id=x"), role="executor", budget=Budget(None), deadline_s=20.0)
        return self.transport.call(made)

    def one_by_one(self, times: int) -> list[CallOutcome]:
        """Calls in turn, sync or async or alternating."""
        ways = {"threads": [False], "tasks": [True], "both": [False, True]}[self.way]
        turns = itertools.islice(itertools.cycle(ways), times)

        def one(on_loop: bool) -> CallOutcome:
            outcome: CallOutcome = asyncio.run(arun(self.call())) if on_loop else run(self.call())
            return outcome

        return [one(on_loop) for on_loop in turns]

    def at_once(self, times: int) -> list[CallOutcome]:
        """Calls at the same time."""
        on_loop = {"threads": 0, "tasks": times, "both": times // 2}[self.way]

        async def tasks() -> list[CallOutcome]:
            return list(await asyncio.gather(*(arun(self.call()) for _ in range(on_loop))))

        with ThreadPoolExecutor(times) as threads:
            futures = [threads.submit(run, self.call()) for _ in range(times - on_loop)]
            found: list[CallOutcome] = asyncio.run(tasks())
            return [*found, *(future.result() for future in futures)]

    def open(self, **headers: str) -> None:
        """Fail until the circuit is open."""
        self.answer(always=status("503 Unavailable", **headers))
        self.one_by_one(self.threshold)


def _refused(outcomes: list[CallOutcome]) -> int:
    """Calls that were not sent, cost nothing and say why."""
    rows = [o.attempts[-1] for o in outcomes]
    return sum(row["error_type"] == "CircuitOpenError" and row["cost_usd"] == 0 for row in rows)


def failures(scene: Scene) -> dict[str, bool]:
    """25 calls of a dead model."""
    scene.answer(always=DEAD)
    outcomes = scene.one_by_one(25)
    return {
        "asked more than the threshold": len(scene.requests) != scene.threshold,
        "not refused": _refused(outcomes) != 25 - scene.threshold,
    }


def open_(scene: Scene) -> dict[str, bool]:
    """Calls while it is open."""
    scene.open()
    scene.clock.now_s += 0.99 * OPEN_S
    outcomes = scene.at_once(CALLERS)
    return {"asked while open": len(scene.requests) != scene.threshold, "not refused": _refused(outcomes) != CALLERS}


def probe_fails(scene: Scene) -> dict[str, bool]:
    """50 callers at half-open, the endpoint still dead."""
    scene.open()
    scene.clock.now_s += 1.01 * OPEN_S

    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(PROBE_S)
        await DEAD(exchange)

    scene.answer(always=slowly)
    outcomes = scene.at_once(CALLERS)
    before = len(scene.requests)
    scene.at_once(CALLERS)
    return {
        "not one probe": before != scene.threshold + 1,
        "not refused": _refused(outcomes) != CALLERS - 1,
        "asked again after the probe failed": len(scene.requests) != before,
    }


def probe_succeeds(scene: Scene) -> dict[str, bool]:
    """50 callers at half-open, the endpoint healthy: closed again within one interval."""
    scene.open()
    scene.clock.now_s += 1.01 * OPEN_S
    scene.answer(always=slow(PROBE_S))
    scene.at_once(CALLERS)
    probe, *later = scene.requests[scene.threshold :]
    scene.answer()
    outcomes = scene.one_by_one(5)
    return {
        "not one probe": any(e.arrived_s < (probe.ended_s or 0) for e in later),
        "not recovered": any(o.reply is None for o in outcomes),
    }


def longest_wins(scene: Scene) -> dict[str, bool]:
    """Failures that ask for different waits: the longest is kept."""
    waits = itertools.islice(itertools.cycle(("30", "90", "40")), scene.threshold)
    scene.answer(*(status("429 Too Many", retry_after=wait) for wait in waits))
    scene.one_by_one(scene.threshold)
    scene.answer()
    scene.clock.now_s += 89.0
    early = scene.one_by_one(3)
    asked = len(scene.requests)
    scene.clock.now_s += 2.0
    late = scene.one_by_one(3)
    return {
        "asked before the longest wait was over": asked != scene.threshold or _refused(early) != 3,
        "not recovered": any(o.reply is None for o in late),
    }


CASES: Final[dict[str, Callable[[Scene], dict[str, bool]]]] = {
    "25 failures": failures,
    "open": open_,
    "probe fails": probe_fails,
    "probe succeeds": probe_succeeds,
    "longest Retry-After": longest_wins,
}


def run_row(quick: bool) -> Iterator[Outcome]:
    """All cases, thresholds and ways."""
    layouts: list[tuple[str, int, Way]] = list(itertools.product(CASES, THRESHOLDS, WAYS))
    if quick:
        layouts = [(case, 5, "both") for case in CASES]
    with FaultServer() as server:
        for case, threshold, way in layouts:
            scenario = f"{case}, threshold {threshold}, {way}"
            yield guarded(ID, scenario, partial(_tried, server, scenario, case, threshold, way))


def _tried(server: FaultServer, scenario: str, case: str, threshold: int, way: Way) -> Outcome:
    clock = Clock()
    with patch.object(engine, "Breaker", partial(Breaker, clock=clock)):
        scene = Scene(server, clock, threshold, way)
        wrong = CASES[case](scene)
    return judged(ID, scenario, wrong, requests=len(scene.requests))


def no_circuit() -> AbstractContextManager[Any]:
    """Every call goes out."""
    return patch.object(Breaker, "enter", lambda self, model: Permit(self._era, probe=False))


def many_probes() -> AbstractContextManager[Any]:
    """At half-open everybody is let through, as with other circuit breakers."""
    real = Breaker.enter

    def enter(self: Breaker, model: str) -> Permit:
        self._probing = False
        return real(self, model)

    return patch.object(Breaker, "enter", enter)


@contextmanager
def own_interval() -> Iterator[None]:
    """Only the circuit's own interval counts."""
    real = Breaker.leave

    def leave(self: Breaker, permit: Permit, error: Any, **options: Any) -> None:
        if error is not None:
            error.retry_after_s = None
        real(self, permit, error, **options)

    with patch.object(Breaker, "leave", leave):
        yield


ROW: Final = Row(
    id=ID,
    title="circuit breaker: 25 failures, 50 callers at half-open, clock set by hand",
    criterion="at most threshold requests while closed, none while open, one probe at half-open; recovers within one "
    "interval; the longest Retry-After wins; refused calls cost nothing and say so",
    run=run_row,
    protections={"circuit": no_circuit, "single probe": many_probes, "longest wait": own_interval},
)
