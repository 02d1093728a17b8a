"""R9: a run is cancelled wherever it may be: it ends at once, pays what it owes, leaves nothing open."""

import asyncio
import gc
import itertools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from langgraph.checkpoint.memory import InMemorySaver

from langchain_r2 import R2Context, flow
from langchain_r2.ledger import Budget
from langchain_r2.transport import Transport
from tests.scoreboard.fault_server import FaultServer, Play
from tests.scoreboard.faults import header_hang, status, stream_trickle, trickle
from tests.scoreboard.graphs import Mode, aask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged, looked_again

ID: Final = "R9"
RETURNS_S: Final = 0.1
CLOSED_S: Final = 0.25
DELAYS_S: Final = (0.0, 0.02, 0.05, 0.1, 0.2)
"""When the run is cancelled, counted from where its point is reached."""
_numbers = itertools.count()


class Point(NamedTuple):
    """Where a run is when it is cancelled."""

    name: str
    play: Play
    mode: Mode = "async"
    query: str = "id=x"
    spec: dict[str, Any] = {}  # noqa: RUF012 - read only
    budget_usd: float = 1.0
    saver_s: float = 0.0
    """Of every write; LangGraph finishes those that it has begun."""
    wait_s: float = 0.1
    """From the start until the point is reached."""


POINTS: Final = (
    Point("before sending", header_hang, wait_s=0.0),
    Point("waiting for headers", header_hang),
    Point("in the body", trickle),
    Point("in a stream", stream_trickle, mode="async streamed"),
    Point("in a pause between tries", status("503 Unavailable", retry_after="5")),
    Point("in the queue of a rate limit", header_hang, query="id=x parts=3", spec={"requests_per_minute": 1}),
    Point("waiting for the budget", header_hang, query="id=x parts=3", budget_usd=0.0002),
    Point("in a checkpoint's write", header_hang, saver_s=0.02, wait_s=0.0),
)


class SlowSaver(InMemorySaver):
    """A checkpointer that takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def aput(self, *arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(self.seconds)
        return await super().aput(*arguments, **options)


def run(quick: bool) -> Iterator[Outcome]:
    """Eight points at five moments."""
    layouts = list(itertools.product(POINTS, DELAYS_S[1:2] if quick else DELAYS_S))
    with FaultServer() as server:
        gc.collect()
        files = _files(server)
        for point, delay_s in layouts:
            scenario = f"{point.name}, {delay_s * 1000:.0f} ms"
            work = partial(_cancelled, server, files, point, delay_s, scenario)
            late = ["returned late", "a connection left open"]
            yield guarded(ID, scenario, partial(looked_again, work, late))


def _cancelled(server: FaultServer, before: int, point: Point, delay_s: float, scenario: str) -> Outcome:
    budgets: list[Budget] = []
    real = Budget.__init__

    def init(self: Budget, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        budgets.append(self)

    with patch.object(Budget, "__init__", init):
        wrong, details = asyncio.run(_scene(server, point, delay_s, budgets))
    gc.collect()
    time.sleep(0.05)  # the server lets go of its side
    files = _files(server) - before
    wrong["files left open"] = files > 0
    return judged(ID, scenario, wrong, **details, files=files)


async def _scene(
    server: FaultServer, point: Point, delay_s: float, budgets: list[Budget]
) -> tuple[dict[str, bool], dict[str, Any]]:
    name = f"r9-{next(_numbers)}"
    saver = SlowSaver(point.saver_s)
    fields = {"max_output_tokens": 40, **point.spec}
    graph = graph_of([spec(server.url, name, **fields)], checkpointer=saver, transport=Transport(max_tries=3))
    config = {"configurable": {"thread_id": name}}
    context = R2Context(budget_usd=point.budget_usd)
    await aask(graph, "id=warm", config={"configurable": {"thread_id": "warm"}})  # the client is made by now
    warm, tasks = len(server.of(name)), len(asyncio.all_tasks())
    server.script(name, always=point.play)
    run_ = asyncio.create_task(aask(graph, point.query, point.mode, config=config, context=context))
    await asyncio.sleep(point.wait_s + delay_s)
    cancelled_s = time.monotonic()
    was_done = run_.done()
    run_.cancel()
    with suppress(asyncio.CancelledError):
        await run_
    returned_s = time.monotonic() - cancelled_s
    await asyncio.sleep(CLOSED_S)
    asked = server.of(name)[warm:]
    open_ = [e for e in asked if e.ended_s is None or e.ended_s > cancelled_s + CLOSED_S]
    left = len(asyncio.all_tasks()) - tasks
    held = [b for b in budgets if abs(b._reserved) > 1e-12]
    paid, owed = sum(b.spent_usd for b in budgets), sum(e.cost_usd for e in asked)
    wrong = {
        "was over before": was_done,
        "returned late": returned_s > RETURNS_S,
        "a connection left open": bool(open_),
        "tasks left": left > 0,
        "a reservation left": bool(held),
        "not paid": paid < owed - 1e-9,
    }
    wrong["not resumed"] = not await _resumed(server, graph, name, config, point)
    return wrong, {"returned_s": round(returned_s, 4), "requests": len(asked)}


async def _resumed(server: FaultServer, graph: Any, name: str, config: dict[str, Any], point: Point) -> bool:
    """Whether the run is taken up where it was, by a graph without the limits that it waited for."""
    server.script(name)
    graph = graph_of([spec(server.url, name)], checkpointer=graph.checkpointer)
    kept = await graph.aget_state(config)
    taken = None if kept.created_at else {"query": point.query}
    async with asyncio.timeout(20):
        output = await graph.ainvoke(taken, config)
    right = "x" if "parts" not in point.query else "xp3"
    return bool(output["status"] == "ok" and output["answer"] == right)


def _files(server: FaultServer) -> int:
    """Open files, without both ends of the connections that are kept for the next call."""
    return len(list(Path("/proc/self/fd").iterdir())) - 2 * len(server.connections)


@contextmanager
def runs_on() -> Iterator[None]:
    """A cancelled call runs on unseen, as a thread would."""
    real = flow._aperform

    async def shielded(effect: Any) -> Any:
        return await asyncio.shield(asyncio.ensure_future(real(effect)))

    with patch.object(flow, "_aperform", shielded):
        yield


def forgetful() -> AbstractContextManager[Any]:
    """What a cancelled call had set aside is not settled."""
    real = Budget.settle

    def settle(self: Budget, reservation: Any, cost_usd: float | None, *rest: Any) -> None:
        if cost_usd is not None:
            real(self, reservation, cost_usd, *rest)

    return patch.object(Budget, "settle", settle)


ROW: Final = Row(
    id=ID,
    title="cancellation: 8 points of a run at 5 moments",
    criterion=f"returns within {RETURNS_S} s; connections closed at the server within {CLOSED_S} s; reservations "
    "released or charged, never below what the server bills; no task or file left; resumed, it ends right",
    run=run,
    protections={"closing": runs_on, "settlement": forgetful},
)
