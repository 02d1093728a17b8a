"""A process that can be killed at a named point of a run, forked from one that has imported everything.

``python -m tests.scoreboard.kill_process`` reads jobs from stdin, one JSON object a line, forks for each, and writes
how the child ended. Points are hit by what this file puts around the library, never by the library itself.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_r2 import ModelPool, ModelSpec, Price, aresume, create_r2_graph, resume
from langchain_r2.call_ledger import CallLedger
from langchain_r2.errors import UnknownThreadError
from langchain_r2.nodes.base import Node
from langchain_r2.nodes.execute_plan import ExecutePlan
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Call, Transport
from langchain_r2.transport.journal import Journal
from langchain_r2.types import Allocation
from tests.scoreboard.kill_protections import PROTECTIONS

PLAN = "1: p\n2: q\n3: r\n4: s\n5: mid #1 #2 #3 #4\n6: x #5\n7: y #5\n8: z #5"
"""Four side by side, one that needs them, three that need it: with plan and aggregation ten calls that are billed."""
CALLS = 10


class Points:
    """Counts the hits of every point; at the chosen one the process dies."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.hits: Counter[str] = Counter()
        self._chosen: tuple[str, int] | None = tuple(job["kill"]) if job.get("kill") else None
        self._lock = threading.Lock()
        self._log = os.open(Path(job["folder"], "server.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def hit(self, point: str) -> None:
        with self._lock:
            self.hits[point] += 1
            if (point, self.hits[point]) == self._chosen:
                os.kill(os.getpid(), signal.SIGKILL)

    def log(self, event: str, call: str) -> None:
        """A line that a kill cannot take back: what the server saw, or the ledger promised."""
        os.write(self._log, json.dumps([event, call]).encode() + b"\n")


class ServedModel(ScriptedChatModel):
    """A model whose requests and replies are logged as the server sees them."""

    points: Any

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        call = self._requested(messages)
        time.sleep(_wait_s(call))
        return self._received(messages, call)

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        call = self._requested(messages)
        await asyncio.sleep(_wait_s(call))
        return self._received(messages, call)

    def _requested(self, messages: list[BaseMessage]) -> str:
        self.points.hit("call.before_send")
        call = str(messages[-1].text)
        self.points.log("request", call)
        return call

    def _received(self, messages: list[BaseMessage], call: str) -> ChatResult:
        reply = self._reply(messages)
        self.points.log("received", call)
        self.points.hit("call.after_recv")
        return ChatResult(generations=[ChatGeneration(message=reply)])


def _wait_s(call: str) -> float:
    """Siblings reply one after another, so that few are between reception and commit when another one is killed."""
    return 0.002 + 0.004 * (zlib.crc32(call.encode()) % 4)


def answer(prompt: str) -> Any:
    """What the models say: something that shows from what it was made."""
    if "Your subtask: " not in prompt:
        return scripted_message(f"answer: all {len(prompt)}", prompt)
    text = prompt.rsplit("Your subtask: ", 1)[-1]
    return scripted_message(f"answer: {text[0]}{len(text)}", prompt)


def play(job: dict[str, Any]) -> None:
    """Begin or resume the run of a folder; what it gives, or that nobody knows it, goes into a file there."""
    points = Points(job)
    for name in job["without"]:
        PROTECTIONS[name]()
    watch(points)
    if "kill_after_s" in job:  # at any moment: SIGALRM ends a process that does not expect it
        signal.setitimer(signal.ITIMER_REAL, job["kill_after_s"])
    result = asyncio.run(_aplay(job, points)) if job["graph"] == "async" else _play(job, points)
    Path(job["folder"], job["out"]).write_text(json.dumps({**result, "hits": points.hits}), encoding="utf-8")


def _play(job: dict[str, Any], points: Points) -> dict[str, Any]:
    connection = sqlite3.connect(Path(job["folder"], "checkpoints.db"), check_same_thread=False)
    graph = build(job, points, watched(SqliteSaver, points, ("put", "put_writes"))(connection))
    options = {"durability": job["durability"]}
    try:
        if job["resume"]:
            output = resume(graph, job["folder"], **options)
        else:
            output = graph.invoke({"query": "q"}, {"configurable": {"thread_id": job["folder"]}}, **options)
    except UnknownThreadError:
        return {"unknown": True}
    return shape(output)


async def _aplay(job: dict[str, Any], points: Points) -> dict[str, Any]:
    import aiosqlite

    async with aiosqlite.connect(Path(job["folder"], "checkpoints.db")) as connection:
        saver = watched(AsyncSqliteSaver, points, ("aput", "aput_writes"))(connection)
        graph = build(job, points, saver)
        options = {"durability": job["durability"]}
        try:
            if job["resume"]:
                output = await aresume(graph, job["folder"], **options)
            else:
                output = await graph.ainvoke({"query": "q"}, {"configurable": {"thread_id": job["folder"]}}, **options)
        except UnknownThreadError:
            return {"unknown": True}
        return shape(output)


def build(job: dict[str, Any], points: Points, saver: Any) -> Any:
    """The router graph."""
    price = Price(input=1.0, output=1.0)
    pool = ModelPool([ModelSpec(name="m", model=ServedModel(script=answer, points=points), price=price)])
    router = ModelSpec(name="r", model=ServedModel(script=lambda _: PLAN, points=points), price=price)
    transport = Transport(max_tries=1)

    def allocate(value: AllocatorInput) -> AllocatorOutput:
        chosen = dict.fromkeys([s["id"] for s in value["plan"]["subtasks"]], "m")
        allocation = Allocation(models=chosen, reasons=dict.fromkeys(chosen, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=[])

    return create_r2_graph(
        pool,
        decomposer=PromptedDecomposer(router, transport=transport),
        allocator=RunnableLambda(allocate),
        transport=transport,
        aggregation="llm",
        checkpointer=saver,
        ledger=None if "ledger" in job["without"] else CallLedger(Path(job.get("ledger", job["folder"]), "calls.db")),
    )


def shape(output: Any) -> dict[str, Any]:
    """What must be the same however often the run was killed."""
    return {
        "answer": output["answer"],
        "status": output["status"],
        "results": [[r["id"], r["text"], r["answer"]] for r in output["results"]],
        "calls": sorted([a["subtask_id"] or "", a["role"], a["answer"]] for a in output["attempts"] if a["answer"]),
        "messages": [[m.type, m.text] for m in output["messages"]],
        "run_id": output["run_id"],
        "cost_usd": sum(a["cost_usd"] or 0.0 for a in output["attempts"]),
    }


def watch(points: Points) -> None:
    """Put the points around the library: where a node returns, and where a reply is in the ledger."""
    for kind in (Node, ExecutePlan):
        kind.invoke = _returning(kind.invoke, points)  # type: ignore[method-assign]
        kind.ainvoke = _areturning(kind.ainvoke, points)  # type: ignore[method-assign]
    settled = Journal.settled

    @wraps(settled)
    def watched_settled(self: Journal, *arguments: Any) -> Any:
        yield from settled(self, *arguments)
        points.log("committed", self._call.prompt.user)
        points.hit("call.after_ledger")

    Journal.settled = watched_settled  # type: ignore[method-assign, assignment]
    call = Transport.call

    @wraps(call)
    def watched_call(self: Transport, called: Call) -> Any:
        outcome = yield from call(self, called)
        points.log("used", called.prompt.user)
        return outcome

    Transport.call = watched_call  # type: ignore[method-assign, assignment]


def _returning(work: Callable[..., Any], points: Points) -> Any:
    @wraps(work)
    def watched(*arguments: Any, **named: Any) -> Any:
        value = work(*arguments, **named)
        points.hit("node.return")
        return value

    return watched


def _areturning(work: Callable[..., Any], points: Points) -> Any:
    @wraps(work)
    async def watched(*arguments: Any, **named: Any) -> Any:
        value = await work(*arguments, **named)
        points.hit("node.return")
        return value

    return watched


def watched(saver: Any, points: Points, methods: tuple[str, str]) -> Any:
    """A checkpointer with points before and after what it writes."""
    changed: dict[str, Any] = {}
    for method in methods:
        name, work = method.removeprefix("a"), getattr(saver, method)

        def put(self: Any, *given: Any, work: Any = work, name: str = name, **named: Any) -> Any:
            points.hit(f"{name}.enter")
            value = work(self, *given, **named)
            points.hit(f"{name}.exit")
            return value

        async def aput(self: Any, *given: Any, work: Any = work, name: str = name, **named: Any) -> Any:
            points.hit(f"{name}.enter")
            value = await work(self, *given, **named)
            points.hit(f"{name}.exit")
            return value

        changed[method] = aput if method != name else put
    return type("Watched", (saver,), changed)


def main() -> None:
    """Fork for every job, and say how it ended: below 0, the signal that killed it."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                play(json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001 - told to whoever reads stderr, and by the code
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
