"""R4: a run is killed at every hit of every point, and resumed in a fresh process."""

import json
import queue
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.scoreboard.row import Outcome, Row, guarded, judged

GRAPHS: Final = ("sync", "async")
DURABILITIES: Final = ("sync", "async", "exit")
CALLS: Final = 10
"""Calls of a run that nobody kills."""
WORKERS: Final = 2
EVENTS: Final = ("request", "received", "committed", "used")
"""What the log has of a call, in this order."""
QUICK: Final = ("put.enter", "put_writes.exit", "call.after_ledger")
"""Points of the part that runs with the tests."""
_WITHOUT: list[str] = []
"""Protections that are taken out now."""


class Setting(NamedTuple):
    """How a run is made and kept."""

    graph: str
    durability: str


class Kill(NamedTuple):
    """At which hit of which point a process dies."""

    point: str
    hit: int


def run(quick: bool) -> Iterator[Outcome]:
    """The matrix; quickly, some hits of three points, most of them in a synchronous graph."""
    with processes() as play, ThreadPoolExecutor(WORKERS) as threads, tempfile.TemporaryDirectory() as folder:
        for setting in [Setting(*names) for names in product(GRAPHS, DURABILITIES)]:
            expected = _undisturbed(play, setting, Path(folder, "-".join(setting)))
            kills = _kills(expected["hits"], quick=quick, dense=setting == ("sync", "sync"))

            def killed(kill: Kill, setting: Setting = setting, expected: dict[str, Any] = expected) -> Outcome:
                name = f"{setting.graph} graph, durability {setting.durability}, killed at {kill.point} {kill.hit}"
                place = Path(folder, name.replace(" ", "_"))
                return guarded("R4", name, lambda: _killed(play, setting, kill, expected, name, place))

            yield from threads.map(killed, kills)


def _kills(hits: dict[str, int], *, quick: bool, dense: bool) -> list[Kill]:
    if not quick:
        return [Kill(point, hit) for point, number in hits.items() for hit in range(1, number + 1)]
    return [Kill(p, hit) for p in QUICK for hit in range(3, hits.get(p, 0) + 1, 5 if dense else 100)]


def _undisturbed(play: "Play", setting: Setting, folder: Path) -> dict[str, Any]:
    """What a run gives that nobody kills, and how often it hits each point."""
    folder.mkdir()
    code = play(_job(setting, folder, None))
    calls = Counter(call for event, call in _log(folder) if event == "request")
    if code or calls.total() != CALLS:
        raise RuntimeError(f"the run that nobody kills ended with {code} after {calls.total()} calls")
    return _read(folder)


def _job(setting: Setting, folder: Path, kill: Kill | None, *, resumed: int = 0) -> dict[str, Any]:
    fixed = {"graph": setting.graph, "durability": setting.durability, "without": list(_WITHOUT)}
    return {**fixed, "folder": str(folder), "kill": kill, "resume": bool(resumed), "out": f"out{resumed}.json"}


def _killed(play: "Play", setting: Setting, kill: Kill, expected: dict[str, Any], name: str, folder: Path) -> Outcome:
    folder.mkdir()
    code = play(_job(setting, folder, kill))
    before = _log(folder)
    if code not in (0, -signal.SIGKILL):
        return judged("R4", name, {f"the first process ended with {code}": True})
    resumed = play(_job(setting, folder, None, resumed=1))
    if resumed:
        return judged("R4", name, {f"resuming ended with {resumed}": True})
    output, calls = _read(folder, 1), _log(folder)
    if output.get("unknown"):  # nothing was promised yet
        return judged("R4", name, {"lost": bool(before)}, accepted=False)
    again = Counter(call for event, call in calls[len(before) :] if event == "request")
    had = {event: {call for e, call in before if e == event} for event in EVENTS}
    received = [call for call in again if call in had["received"]]
    wrong = [key for key in ("answer", "status", "results", "calls", "messages") if output[key] != expected[key]]
    return judged(
        "R4",
        name,
        {
            "wrong " + ", ".join(wrong): bool(wrong),
            "not killed": code == 0 and not again,
            "paid again after the ledger had the reply": any(call in had["committed"] for call in again),
            # What is left is the moment between reception and commit, of the call that is killed there or a sibling.
            "paid again after the reply was used": any(call in had["used"] for call in again),
            "used before the ledger had it": not had["used"] <= had["committed"] and "ledger" not in _WITHOUT,
            "a call was made twice after the kill": max(again.values(), default=0) > 1,
            "spent less than was asked for": output["cost_usd"] + 1e-12 < expected["cost_usd"] and not wrong,
        },
        requests_again=sum(again.values()),
        in_flight_again=len([call for call in again if call in had["request"] and call not in had["received"]]),
        received_again=len(received),
    )


def _log(folder: Path) -> list[list[str]]:
    log = folder / "server.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _read(folder: Path, resumed: int = 0) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / f"out{resumed}.json").read_text(encoding="utf-8"))
    return value


Play = Callable[[dict[str, Any]], int]
"""Does a job in a fresh process; gives how that ended."""


@contextmanager
def processes() -> Iterator[Play]:
    """Processes that fork for every job: nothing of a run is in them."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.scoreboard.kill_process"]
    idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)
    ]
    for process in started:
        idle.put(process)

    def play(job: dict[str, Any]) -> int:
        process = idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())
        finally:
            idle.put(process)

    try:
        yield play
    finally:
        for process in started:
            process.communicate(timeout=60)  # closing its input ends it


def _without(name: str) -> Callable[[], AbstractContextManager[Any]]:
    @contextmanager
    def taken_out() -> Iterator[None]:
        _WITHOUT.append(name)
        try:
            yield
        finally:
            _WITHOUT.remove(name)

    return taken_out


ROW = Row(
    id="R4",
    title="killed at every point of a run, resumed in a fresh process",
    criterion="0 wrong answers; 0 lost runs; 0 calls paid again after the ledger had the reply, 0 though the reply was "
    "received and used; one resume is enough",
    run=run,
    protections={name: _without(name) for name in ("ledger", "admission", "commit_before_use", "checkpoint_rule")},
)
