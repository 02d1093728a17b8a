"""R8: one router for many threads, tasks, loops and processes: nothing is lost, nothing gets to the wrong one."""

import asyncio
import gc
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from langchain_r2 import bounded_http, create_r2_graph
from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks.arithmetic import problems
from langchain_r2.in_process import InProcessChatModel
from langchain_r2.ledger import bill
from langchain_r2.transport import engine, replies
from tests.scoreboard.fault_server import Exchange, FaultServer
from tests.scoreboard.graphs import aask, ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged

ID: Final = "R8"
PARTS: Final = 8
AT_ONCE: Final = 64
LAG_S: Final = 0.05
TICK_S: Final = 0.002
LOCAL_ANSWERS: Final = 125
"""Problems given to the embedded models; each takes some eight calls."""
ALONE: Final = 6
"""Of them, those whose answers are compared with what the models say when they are asked alone."""
_numbers = itertools.count()

Output = dict[str, Any]


class Router:
    """One graph on one model behind the server, and the check of what it gave."""

    def __init__(self, server: FaultServer, **options: Any) -> None:
        self.server, self.name = server, f"r8-{next(_numbers)}"
        self.graph = graph_of([spec(server.url, self.name)], **options)

    def queries(self, number: int) -> list[str]:
        """Queries of eight calls, each with a word of its own."""
        return [f"id=w{next(_numbers)} parts={PARTS}" for _ in range(number)]

    def wrong(self, queries: Sequence[str], outputs: Sequence[Output | BaseException]) -> dict[str, bool]:
        """What went wrong: each answer carries its query's word, each bill is the server's for that word."""
        spent: Counter[str] = Counter()
        for exchange in self.server.of(self.name):
            spent[_word(exchange)] += round(exchange.cost_usd * 1e9)
        raised = [o for o in outputs if isinstance(o, BaseException)]
        crossed = unpaid = 0
        for query, output in zip(queries, outputs, strict=True):
            if isinstance(output, BaseException):
                continue
            word = query.split()[0].removeprefix("id=")
            crossed += [r["answer"] for r in output["results"]] != [f"{word}p{n}" for n in range(1, PARTS + 1)]
            unpaid += round((bill(output["attempts"]).cost_usd or 0) * 1e9) != spent[word]
        return {"exceptions": bool(raised), "cross-talk": crossed > 0, "usage sums differ": unpaid > 0}


def _word(exchange: Exchange) -> str:
    return exchange.text.rpartition("id=")[2].split()[0].rpartition("p")[0]


def in_threads(work: Callable[[str], Output], queries: Sequence[str]) -> list[Output | BaseException]:
    """Run queries in 64 threads."""

    def safely(query: str) -> Output | BaseException:
        try:
            return work(query)
        except Exception as error:  # noqa: BLE001 - counted
            return error

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(safely, queries))


def in_tasks(work: Callable[[str], Awaitable[Output]], queries: Sequence[str]) -> list[Output | BaseException]:
    """Run queries in 64 tasks on a loop of their own."""

    async def every() -> list[Output | BaseException]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(query: str) -> Output:
            async with turns:
                return await work(query)

        return await asyncio.gather(*map(one, queries), return_exceptions=True)

    return asyncio.run(every())


def threads(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    return in_threads(lambda query: ask(router.graph, query, "sync"), queries)


def tasks(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    return in_tasks(partial(aask, router.graph), queries)


def halves(
    one: Callable[..., list[Output | BaseException]], other: Callable[..., list[Output | BaseException]]
) -> Callable[[Router, Sequence[str]], list[Output | BaseException]]:
    """Half of the queries one way and half the other, at the same time."""

    def both(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
        middle = len(queries) // 2
        with ThreadPoolExecutor(2) as two:
            first = two.submit(one, router, queries[:middle])
            second = two.submit(other, router, queries[middle:])
            return [*first.result(), *second.result()]

    return both


def streams(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    """The models' replies streamed, in threads and tasks."""
    middle = len(queries) // 2
    with ThreadPoolExecutor(2) as two:
        first = two.submit(in_threads, lambda query: ask(router.graph, query, "sync streamed"), queries[:middle])
        second = two.submit(in_tasks, lambda query: aask(router.graph, query, "async streamed"), queries[middle:])
        return [*first.result(), *second.result()]


def batches(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    """``batch`` and ``abatch`` at the same time."""

    def batch(router: Router, part: Sequence[str]) -> list[Output | BaseException]:
        found: list[Any] = router.graph.batch([{"query": q} for q in part], return_exceptions=True)
        return found

    def abatch(router: Router, part: Sequence[str]) -> list[Output | BaseException]:
        return asyncio.run(router.graph.abatch([{"query": q} for q in part], return_exceptions=True))

    return halves(batch, abatch)(router, queries)


def fork(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    """A process is forked after the router was used: both go on with it."""
    middle = len(queries) // 2
    threads(router, queries[:3])  # connections are open now, and belong to the parent
    before = router.server.exchanges[:]
    first = _forked(lambda: threads(router, queries[3:middle]), lambda: threads(router, queries[middle:]))
    warm = [e for e in before if e.model == router.name]
    assert warm
    return [*_again(router, queries[:3]), *first]


def _again(router: Router, queries: Sequence[str]) -> list[Output | BaseException]:
    """The results of queries that were run to warm up; run once more, the server's bill for them starts anew."""
    words = {query.split()[0].removeprefix("id=") for query in queries}
    router.server.exchanges = [e for e in router.server.exchanges if e.model != router.name or _word(e) not in words]
    return threads(router, queries)


def _forked(
    child: Callable[[], list[Output | BaseException]], parent: Callable[[], list[Output | BaseException]]
) -> list[Output | BaseException]:
    """Run both at the same time, one of them in a forked process that has a minute."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), os.fdopen(write, "w") as pipe:
            found = child()
            json.dump([_plain(o) for o in found], pipe)
        os._exit(0)
    os.close(write)
    mine = parent()
    ends = time.monotonic() + 60
    with ThreadPoolExecutor(1) as reader, os.fdopen(read) as pipe:
        text = reader.submit(pipe.read)
        with suppress(TimeoutError):
            text.result(max(1.0, ends - time.monotonic()))
        if not text.done():
            os.kill(pid, 9)
    os.waitpid(pid, 0)
    theirs: list[Any] = json.loads(text.result() or "[]")
    return [*(o if isinstance(o, dict) else RuntimeError(o) for o in theirs), *mine]


def _plain(output: Output | BaseException) -> Any:
    if isinstance(output, BaseException):
        return repr(output)
    return {key: output[key] for key in ("results", "attempts", "answer")}


SCENARIOS: Final[dict[str, tuple[Callable[[Router, Sequence[str]], list[Output | BaseException]], dict[str, Any]]]] = {
    "64 threads": (threads, {}),
    "64 tasks": (tasks, {}),
    "64 threads and 64 tasks": (halves(threads, tasks), {}),
    "two event loops": (halves(tasks, tasks), {}),
    "streamed, threads and tasks": (streams, {}),
    "execution send, threads and tasks": (halves(threads, tasks), {"execution": "send"}),
    "batch and abatch": (batches, {}),
    "fork after use": (fork, {}),
}


def run(quick: bool) -> Iterator[Outcome]:
    """Eight layouts of endpoints, two of local models."""
    number = 10 if quick else 125
    with FaultServer() as server:
        for name in ("64 threads and 64 tasks", "fork after use") if quick else SCENARIOS:
            yield guarded(ID, name, partial(_endpoints, server, name, number))
    for way in ("tasks",) if quick else ("threads", "tasks"):
        yield guarded(ID, f"embedded models, {way}", partial(_local, way, ALONE if quick else LOCAL_ANSWERS))


def _endpoints(server: FaultServer, name: str, number: int) -> Outcome:
    work, options = SCENARIOS[name]
    router = Router(server, **options)
    queries = router.queries(number)
    started = time.perf_counter()
    outputs = work(router, queries)
    wall_s = time.perf_counter() - started
    if len(outputs) != len(queries):
        return judged(ID, name, {"results lost": True}, results=len(outputs), queries=len(queries))
    first = next((repr(o)[:200] for o in outputs if isinstance(o, BaseException)), None)
    wrong = router.wrong(queries, outputs)
    return judged(ID, name, wrong, calls=number * PARTS, calls_per_s=round(number * PARTS / wall_s), error=first)


def _local(way: str, number: int) -> Outcome:
    """One set of embedded models and one tokenizer for all; the loop stays free."""
    queries = [p.query for p in islice(problems("validation", seed=8, shard="scoreboard"), number)]
    graph = create_r2_graph(**embedded_router())
    alone = [ask(graph, query, "sync")["answer"] for query in queries[:ALONE]]
    lag, outputs = Lag(0.0, 0.0), []
    if way == "threads":
        outputs = in_threads(lambda query: ask(graph, query, "sync"), queries)
    else:
        for _ in range(2):  # other programs of the machine may hold it up
            outputs, lag = _with_lag(graph, queries)
            if lag.wall_s < LAG_S:
                break
    # On a machine with more to run than cores, a thread waits for its turn: then its own work is what counts.
    busy = os.getloadavg()[0] > len(os.sched_getaffinity(0))
    answers = [o["answer"] if isinstance(o, dict) else None for o in outputs]
    wrong = {
        "exceptions": any(isinstance(o, BaseException) for o in outputs),
        "cross-talk": answers[:ALONE] != alone,
        f"loop held up for more than {LAG_S} s": (lag.own_s if busy else lag.wall_s) >= LAG_S,
    }
    calls = sum(len(o["attempts"]) for o in outputs if isinstance(o, dict))
    seen = {"wall_s": round(lag.wall_s, 4), "own_s": round(lag.own_s, 4), "busy": busy} if way == "tasks" else {}
    return judged(ID, f"embedded models, {way}", wrong, calls=calls, **seen)


class Lag(NamedTuple):
    """The longest that a sleeper on the loop woke up late."""

    wall_s: float
    own_s: float
    """Of it, processor time of the loop's own thread."""


def _with_lag(graph: Any, queries: Sequence[str]) -> tuple[list[Output | BaseException], Lag]:
    """The results, and how long the loop was held up; not by Python's garbage collector among what was there before."""
    wall_s = own_s = 0.0
    gc.collect()
    gc.freeze()

    async def tick() -> None:
        nonlocal wall_s, own_s
        while True:
            started, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            wall_s = max(wall_s, time.perf_counter() - started - TICK_S)
            own_s = max(own_s, time.thread_time() - used)

    async def every() -> list[Output | BaseException]:
        ticker = asyncio.create_task(tick())
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(query: str) -> Output:
            async with turns:
                return await aask(graph, query)

        outputs = await asyncio.gather(*map(one, queries), return_exceptions=True)
        ticker.cancel()
        return outputs

    try:
        return asyncio.run(every()), Lag(wall_s, own_s)
    finally:
        gc.unfreeze()


def one_process() -> AbstractContextManager[Any]:
    """A forked process is not told apart from its parent."""
    return patch.object(bounded_http, "os", SimpleNamespace(getpid=lambda: 0))


@contextmanager
def on_the_loop() -> Iterator[None]:
    """Local models work on the event loop itself."""

    async def agenerate(self: InProcessChatModel, messages: Any, *arguments: Any, **options: Any) -> Any:
        return self._generate(messages, *arguments, **options)

    with patch.object(InProcessChatModel, "_agenerate", agenerate):
        yield


def shared_reply() -> AbstractContextManager[Any]:
    """Replies of the same model share a place: what two calls bring at the same time gets mixed up."""
    real = replies.read_reply
    last: list[Any] = []

    def read_reply(*arguments: Any, **options: Any) -> Any:
        last.append(real(*arguments, **options))
        time.sleep(0.002)
        return last[-1]

    return patch.object(engine, "read_reply", read_reply)


ROW: Final = Row(
    id=ID,
    title="concurrency: threads, tasks, loops, fork, local models; 1,000 calls each",
    criterion="no exception, no cross-talk (an answer carries its own id), each query's bill is the server's for it, "
    f"the event loop never held up for {LAG_S} s by local models (what was there before is frozen "
    "for Python's collector)",
    run=run,
    protections={
        "replies of one's own": shared_reply,
        "connections of one's own process": one_process,
        "models off the loop": on_the_loop,
    },
)
