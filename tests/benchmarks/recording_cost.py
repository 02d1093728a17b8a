"""What recording adds to a run over loopback: its prompts kept, its record made and written, against neither."""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from langchain_r2.run_record import append_record, run_record
from langchain_r2.trace import PromptKeeper
from tests.benchmarks.endpoint import endpoint_graph, loopback_server
from tests.benchmarks.measure import Result, difference, interleaved, interval, ratio, timed

DELAY_S: Final = 0.02
"""Of a reply: a model on the same machine that writes a few tokens."""


def run(*, quick: bool) -> Iterator[Result]:
    """Measure with a server that answers at once, for comparison, and with one that takes as long as a small model."""
    rounds = 15 if quick else 150
    for delay_s, bar in ((0.0, None), (DELAY_S, 1.03)):
        with loopback_server(delay_s) as address, tempfile.TemporaryDirectory() as folder:
            graph = endpoint_graph(address)
            with Path(folder, "runs.jsonl").open("ab") as file:
                ways = {"recorded": _recorded(graph, file), "plain": _plain(graph)}
                seconds = interleaved(rounds, ways, warm_up=5)
            added_ms = 1e3 * difference(seconds["recorded"], seconds["plain"])
            what = f"replies after {delay_s * 1e3:g} ms" if delay_s else "replies at once"
            yield Result(
                name=f"wall time of a recorded run over a plain one, {what}",
                **interval(ratio, seconds["recorded"], seconds["plain"]),
                unit="x",
                bar=bar,
                rounds=rounds,
                details={"added_ms": added_ms, "plain_ms": 1e3 * sorted(seconds["plain"])[rounds // 2]},
            )


_NUMBERS: Final = itertools.count()


def _query() -> dict[str, str]:
    return {"query": f"q{next(_NUMBERS)} chain=2"}


def _plain(graph: Any) -> Callable[[], float]:
    return timed(lambda: graph.invoke(_query()))


def _recorded(graph: Any, file: Any) -> Callable[[], float]:
    """A run whose prompts are kept, and whose record is on the disk at its end, as `ask --record` and `batch` do it."""

    def way() -> float:
        started = time.perf_counter()
        prompts = PromptKeeper()
        state = graph.invoke(_query(), {"callbacks": [prompts]})
        record = prompts.add_to(run_record(state, id="1", wall_s=time.perf_counter() - started))
        append_record(file, record)
        return time.perf_counter() - started

    return way
