"""R6: budgets under faults, retries, reallocation and fan-out: never passed, used up, equal to the server's count."""

import asyncio
import itertools
import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from langchain_r2 import R2Context, errors
from langchain_r2.ledger import Budget, bill
from langchain_r2.transport import Transport
from tests.scoreboard.fault_server import (
    INPUT_USD,
    OUTPUT_USD,
    Exchange,
    FaultServer,
    Play,
    answer_to,
    completion,
    send_json,
    slow,
)
from tests.scoreboard.faults import altered, reset, reset_in_body, short_body, status
from tests.scoreboard.graphs import aask, ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged
from tests.scoreboard.stock import stock_model

ID: Final = "R6"
SEEDS: Final[Mapping[int, int]] = {1: 100, 8: 70, 64: 20, 200: 10}
"""Calls at a time, and how many seeds."""
MOST_TOKENS: Final = 64
EXTRA_TOKENS: Final = 32
"""What a bound adds for the chat's template."""
EPS: Final = 1e-9
FAULTS: Final[tuple[Play, ...]] = (
    status("500 Error"),
    status("429 Too Many", retry_after_ms="1"),
    reset,
    reset_in_body,
    short_body,
    altered("wrong"),
    altered("wrong", "length"),
    altered("wrong", usage=...),
    altered("wrong", usage={"prompt_tokens": -10, "completion_tokens": -5, "total_tokens": -15}),
    altered("wrong", usage={"prompt_tokens": float("nan"), "completion_tokens": 1, "total_tokens": 1}),
    altered("wrong", usage={"prompt_tokens": 10**9, "completion_tokens": 10**9, "total_tokens": 2 * 10**9}),
    altered("wrong", usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
)
_numbers = itertools.count()


class Endpoint:
    """Two models whose replies are drawn by a seed; within ``max_tokens`` and billed honestly, whatever they claim."""

    def __init__(self, server: FaultServer, seed: int) -> None:
        self.server, self.rng = server, random.Random(seed)
        number = next(_numbers)
        self.names = [f"r6-{number}-a", f"r6-{number}-b"]
        self.told: list[Exchange] = []
        """Exchanges whose usage was told as it is."""
        for name in self.names:
            server.script(name, always=self.play)

    async def play(self, exchange: Exchange) -> None:
        if self.rng.random() < 0.25:
            await self.rng.choice(FAULTS)(exchange)
            return
        filler = "word " * self.rng.randint(0, MOST_TOKENS - 4)
        await asyncio.sleep(self.rng.random() * 0.01)
        self.told.append(exchange)
        await send_json(exchange, completion(exchange, filler + answer_to(exchange)))

    @property
    def exchanges(self) -> list[Exchange]:
        return [e for name in self.names for e in self.server.of(name)]

    def worst_usd(self) -> float:
        """The largest reservation."""
        longest = max((len(e.text.encode()) for e in self.exchanges), default=0)
        return ((longest + EXTRA_TOKENS) * INPUT_USD + MOST_TOKENS * OUTPUT_USD) / 1e6


def run(quick: bool) -> Iterator[Outcome]:
    """Seeds at every number of calls at a time."""
    seeds = {8: 2, 64: 1} if quick else SEEDS
    with FaultServer() as server:
        for at_once, number in seeds.items():
            for seed in range(number):
                layout = ("one run", "many runs")[seed % 2]
                way = ("sync", "async")[seed // 2 % 2]
                scenario = f"{layout}, {at_once} at once, {way}, seed {seed}"
                yield guarded(ID, scenario, partial(_spent, server, scenario, at_once, seed, layout, way))


def _spent(server: FaultServer, scenario: str, at_once: int, seed: int, layout: str, way: str) -> Outcome:
    endpoint = Endpoint(server, seed)
    rough = (60 * INPUT_USD + MOST_TOKENS * OUTPUT_USD) / 1e6
    cap = rough * max(1.5, at_once * random.Random(f"cap {seed}").uniform(0.15, 0.6))
    shared = Budget(cap) if layout == "many runs" else None
    transport = Transport(max_tries=3, first_delay_s=0.001, breaker_failures=10**6)
    models = [spec(server.url, name, max_output_tokens=MOST_TOKENS) for name in endpoint.names]
    graph = graph_of(models, transport=transport, budget=shared)
    context = R2Context(budget_usd=None if shared else cap, deadline_s=60.0)
    word = f"w{next(_numbers)}"
    queries = [f"id={word}n{n}" for n in range(at_once)] if shared else [f"id={word} parts={at_once}"]
    outputs = _outputs(graph, queries, way, context)
    wrong = _wrong(endpoint, outputs, cap, shared)
    attempts = [a for output in outputs for a in output["attempts"]]
    spent = bill(attempts).cost_usd or 0.0
    served = sum(e.cost_usd for e in endpoint.exchanges)
    shown = {"cap_usd": round(cap, 7), "spent_usd": round(spent, 7), "served_usd": round(served, 7)}
    return judged(ID, scenario, wrong, **shown, requests=len(endpoint.exchanges))


def _outputs(graph: Any, queries: list[str], way: str, context: R2Context) -> list[dict[str, Any]]:
    if way == "sync":
        with ThreadPoolExecutor(len(queries)) as threads:
            return list(threads.map(lambda query: ask(graph, query, "sync", context=context), queries))

    async def every() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(aask(graph, query, context=context) for query in queries)))

    return asyncio.run(every())


def _wrong(endpoint: Endpoint, outputs: list[dict[str, Any]], cap: float, shared: Budget | None) -> dict[str, bool]:
    attempts = [a for output in outputs for a in output["attempts"]]
    spent = bill(attempts).cost_usd
    if spent is None:
        return {"an attempt without a cost": True}
    exchanges = endpoint.exchanges
    served = sum(e.cost_usd for e in exchanges)
    known = sum(a["cost_usd"] or 0.0 for a in attempts if a["answer"] is not None and a["error_type"] is None)
    told = sum(e.cost_usd for e in endpoint.told)
    cut = sum(e.cost_usd for e in exchanges if e.cost_usd) - told
    refused = any(o["status"] == "budget_exhausted" for o in outputs) or any(
        r["verdict"]["reason"] == "budget" for o in outputs for r in o["results"]
    )
    return {
        "spent more than the budget": spent > cap + EPS,
        "served more than the budget": served > cap + EPS,
        "bill below the server's": spent < served - EPS,
        "told usage billed wrongly": not told - EPS <= known <= told + cut + EPS,
        "attempts are not requests": len(attempts) != len(exchanges),
        "shared budget differs from the bills": shared is not None and abs(shared.spent_usd - spent) > EPS,
        "refused with money left": refused and cap - spent > endpoint.worst_usd() + EPS,
        "nothing refused, not all answered": not refused and any(not o["answer"] for o in outputs) and cap > 10 * spent,
    }


def stock(quick: bool) -> Iterator[Outcome]:
    """ChatOpenAI, and what was spent looked at before each call."""
    with FaultServer() as server:
        for at_once in (1, 8) if quick else SEEDS:
            name = f"s6-{next(_numbers)}"
            server.script(name, always=slow(0.02))
            model, cap = stock_model(server.url, name), 20e-6 * max(2, at_once / 4)
            spent, lock = [0.0], threading.Lock()

            def work(model: Any = model, cap: float = cap, spent: list[float] = spent, lock: Any = lock) -> None:
                while spent[0] < cap:
                    with suppress(Exception):
                        usage = model.invoke("id=x").usage_metadata or {}
                        read, written = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
                        with lock:
                            spent[0] += (read * INPUT_USD + written * OUTPUT_USD) / 1e6

            with ThreadPoolExecutor(at_once) as threads:
                for future in [threads.submit(work) for _ in range(at_once)]:
                    future.result()
            served = server.spent_usd(name)
            over = round(100 * (served / cap - 1))
            yield judged(ID, f"{at_once} at once", {"over the budget": served > cap + EPS}, over_percent=over)


def check_then_spend() -> AbstractContextManager[Any]:
    """Nothing is set aside: a call starts where the limit is not reached yet."""
    real = Budget.reserve
    return patch.object(Budget, "reserve", lambda self, *_: real(self, 0.0, 0))


@contextmanager
def free_unknowns() -> Iterator[None]:
    """What may have been billed, but was not seen, costs nothing."""
    never = property(lambda _: False, lambda *_: None)
    with ExitStack() as patches:
        for kind in (errors.ModelCallError, errors.InvalidReplyError, errors.DeadlineError):
            patches.enter_context(patch.object(kind, "may_be_billed", never))
        yield


ROW: Final = Row(
    id=ID,
    title="budget: 1 to 200 calls at once, with faults, retries, reallocation, fan-out, shared by runs",
    criterion="never passed, by the bill or by the server's count; refused only where less than one largest "
    "reservation is left; every request is an attempt; unknown usage at its bound; told usage as told; bills not below "
    "the server's count",
    run=run,
    protections={"reservation": check_then_spend, "bounds for unknown costs": free_unknowns},
    stock=stock,
)
