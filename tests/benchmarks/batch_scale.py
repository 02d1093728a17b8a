"""``langchain-r2 batch`` on many queries, killed at random moments and resumed: what is answered, what paid twice."""

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from langchain_r2.run_record import iter_records
from tests.benchmarks.endpoint import asked, loopback_server
from tests.benchmarks.measure import Result, memory_mb

CONCURRENCY: Final = 16
CALLS: Final = 3
"""Of a query: a plan, a judgement of its one subtask, the subtask."""

_POOL: Final = """
[[models]]
name = "one"
model = "one"
base_url = "{address}/v1"
prompt_style = "bare"
capabilities = ["logprobs"]
price = {{ input = 1.0, output = 1.0 }}
"""


class Scaled(NamedTuple):
    """What came of a batch."""

    exit_codes: list[int]
    answered: Counter[str]
    """Records with an answer, per id."""
    paid: dict[str, int]
    """Calls, per id."""
    recorded_at_kill: set[str]
    """Ids that had a record when the batch was killed, the first time that they had."""
    paid_at_kill: dict[str, int]
    """Calls that those had then."""
    peak_mb: float
    """Of all the processes, the highest."""
    seconds: float


def batch(folder: Path, queries: int, *, kills: int, seed: int = 0) -> Scaled:
    """Run a batch, kill it (SIGKILL) after random numbers of records, and go on until it ends by itself."""
    source, target, pool = folder / "in.jsonl", folder / "out.jsonl", folder / "pool.toml"
    source.write_text("".join(json.dumps({"id": f"q{n}", "query": f"what is q{n} ?"}) + "\n" for n in range(queries)))
    moments = [*sorted(random.Random(seed).sample(range(1, queries), kills)), None]
    codes: list[int] = []
    recorded: set[str] = set()
    paid_then: dict[str, int] = {}
    peak, started = 0.0, time.perf_counter()
    with loopback_server() as address:
        pool.write_text(_POOL.format(address=address))
        command = [sys.executable, "-m", "langchain_r2.cli", "batch", str(source), str(target), "--resume"]
        command += ["--pool", str(pool), "--concurrency", str(CONCURRENCY)]
        for moment in moments:
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                peak = max(peak, _watch(process, target, moment))
            codes.append(process.returncode)
            if moment is not None:
                time.sleep(0.1)  # the server may still be counting what the killed one had sent
                counts = asked(address, "counts")
                new = {record["id"] for record in iter_records(target)} - recorded
                paid_then |= {id_: counts[id_] for id_ in new}
                recorded |= new
        paid = asked(address, "counts")
    answered = Counter(record["id"] for record in iter_records(target) if record["answer"] == "7")
    return Scaled(codes, answered, paid, recorded, paid_then, peak, time.perf_counter() - started)


def twice(scaled: Scaled) -> int:
    """Queries that were paid again although they had a record: none may be."""
    return sum(scaled.paid[id_] > then for id_, then in scaled.paid_at_kill.items())


def run_again(scaled: Scaled) -> int:
    """Queries that were under way at a kill and for which some calls were made again."""
    return sum(count > CALLS for count in scaled.paid.values())


def run(*, quick: bool) -> Iterator[Result]:
    """10,000 queries, killed five times; memory against 1,000 queries in one go."""
    many, few, kills = (400, 100, 5) if quick else (10_000, 1_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        large = batch(Path(folder), many, kills=kills)
    with tempfile.TemporaryDirectory() as folder:
        small = batch(Path(folder), few, kills=0)
    once = sum(count == 1 for count in large.answered.values())
    growth_mb = large.peak_mb - small.peak_mb
    figures: list[tuple[str, float, str, float, Literal["at most", "at least"]]] = [
        ("queries answered once", once, "", many, "at least"),
        ("queries with a record that were paid again", twice(large), "", 0, "at most"),
        ("queries under way at a kill that were run again", run_again(large), "", kills * CONCURRENCY, "at most"),
        (f"peak memory over that of {few} queries", growth_mb, "MB", 10, "at most"),
    ]
    details = {"peak_mb": large.peak_mb, "queries_per_s": many / large.seconds, "exit_codes": large.exit_codes}
    for name, value, unit, bar, need in figures:
        yield Result(
            name=f"batch of {many}, killed {kills} times: {name}",
            value=value,
            low=value,
            high=value,
            unit=unit,
            bar=bar,
            need=need,
            rounds=1,
            details=details if unit else {},
        )


def _watch(process: subprocess.Popen[bytes], target: Path, kill_after: int | None) -> float:
    """Wait for a batch, or kill it once it has so many records; gives its peak memory in MB."""
    peak, records, read = 0.0, 0, 0
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):  # it may end meanwhile
            peak = max(peak, memory_mb(process.pid, "VmHWM"))
        if target.exists():
            with target.open("rb") as file:
                file.seek(read)
                new = file.read()
            records, read = records + new.count(b"\n"), read + len(new)
        if kill_after is not None and records >= kill_after:
            process.kill()
            process.wait()
        time.sleep(0.01)
    return peak
