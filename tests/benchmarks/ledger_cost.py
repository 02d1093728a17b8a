"""What the call ledger adds to a call of a model that answers at once: a call alone, and 64 at the same time."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from langchain_r2 import ModelSpec, Price, flow
from langchain_r2.call_ledger import CallLedger
from langchain_r2.ledger import Budget
from langchain_r2.prompts import Prompt
from langchain_r2.testing import ScriptedChatModel
from langchain_r2.transport import Call, Transport
from tests.benchmarks.measure import Result, difference, interleaved, interval

CALLS: Final = 64


def _calls(ledger: CallLedger | None, tag: str, *, together: bool) -> float:
    """Make the calls; gives milliseconds a call: wall time one by one, processor time where they are made together."""
    transport = Transport(ledger=ledger)
    spec = ModelSpec(name="m", model=ScriptedChatModel(script=["a"]), price=Price(input=1.0, output=1.0))
    budget = Budget(None)
    calls = [
        Call(spec=spec, prompt=Prompt(f"{tag} {number}"), role="executor", budget=budget, run_id="r")
        for number in range(CALLS)
    ]

    async def every() -> None:
        await asyncio.gather(*(flow.arun(transport.call(call)) for call in calls))

    wall_s, used_s = time.perf_counter(), time.process_time()
    if together:
        asyncio.run(every())
        return (time.process_time() - used_s) / CALLS * 1e3
    for call in calls:
        flow.run(transport.call(call))
    return (time.perf_counter() - wall_s) / CALLS * 1e3


def _both(ledger: CallLedger, *, together: bool, rounds: int) -> Iterator[Result]:
    """With and without, in turns."""
    tags = itertools.count()
    ways = {
        "with": lambda: _calls(ledger, f"{together} {next(tags)}", together=together),
        "without": lambda: _calls(None, "x", together=together),
    }
    ms = interleaved(rounds, ways)
    what = f"processor time of each of {CALLS} calls at once" if together else "wall time of a call alone"
    yield Result(
        name=f"call ledger on disk adds to the {what}",
        **interval(difference, ms["with"], ms["without"]),
        unit="ms",
        rounds=rounds,
        details={f"{name}_ms": sorted(values)[rounds // 2] for name, values in ms.items()},
    )


def run(*, quick: bool) -> Iterator[Result]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder, CallLedger(Path(folder, "calls.db")) as ledger:
        for together in (False, True):
            yield from _both(ledger, together=together, rounds=4 if quick else 30)
