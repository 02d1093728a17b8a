"""Runs are killed at random moments, over and over, two processes at a time on one call ledger."""

import json
import random
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.call_ledger import CallLedger
from tests.scoreboard.r4_kills import CALLS, EVENTS, Play, processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

RUNS, MOST_KILLS = 6, 6
KEYS = ("answer", "status", "results", "calls", "messages")


def killed_and_resumed(play: Play, folder: Path, ledger: Path, seed: int) -> tuple[dict[str, Any], int]:
    """What a run gives at last, and how often it was killed."""
    rng = random.Random(seed)
    folder.mkdir()
    graph, durability = ("sync", "async")[seed % 2], ("sync", "async", "exit")[seed % 3]
    job = {"graph": graph, "durability": durability, "folder": str(folder), "ledger": str(ledger), "without": []}
    begun = False
    for number in range(MOST_KILLS + 2):
        last = number >= MOST_KILLS  # twice: a run that was killed before it was accepted is asked once more
        limit = {} if last else {"kill_after_s": rng.uniform(0.02, 0.5)}
        code = play({**job, **limit, "resume": begun, "out": f"out{number}.json"})
        assert code in (0, -signal.SIGALRM), f"run {seed} ended with {code}"
        if code == 0:
            output = json.loads((folder / f"out{number}.json").read_text())
            if not output.get("unknown"):
                return output, number
        begun = code != 0  # what nobody knows was never accepted: it is asked again
    pytest.fail("a run that nobody kills gave nothing")


def test_nothing_is_lost_wrong_or_paid_twice(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    with processes() as play, ThreadPoolExecutor(2) as threads:
        undisturbed.mkdir()
        job = {"graph": "sync", "durability": "sync", "without": [], "resume": False, "out": "out.json"}
        assert play({**job, "folder": str(undisturbed)}) == 0
        expected = json.loads((undisturbed / "out.json").read_text())
        folders = [tmp_path / str(seed) for seed in range(RUNS)]
        ended = list(threads.map(lambda f: killed_and_resumed(play, f, tmp_path, int(f.name)), folders))
    assert sum(kills for _, kills in ended) > 0
    with CallLedger(tmp_path / "calls.db") as ledger:
        for folder, (output, _) in zip(folders, ended, strict=True):
            assert {key: output[key] for key in KEYS} == {key: expected[key] for key in KEYS}
            rows = ledger.calls(output["run_id"]).result()
            lines = [json.loads(line) for line in (folder / "server.log").read_text().splitlines()]
            seen = {event: Counter(call for e, call in lines if e == event) for event in EVENTS}
            settled = Counter(row.state for row in rows)
            assert settled["done"] == CALLS
            assert set(settled) <= {"done", "lost"}
            # Every request has its row; a row without a request was killed between the two.
            assert seen["request"].total() <= len(rows)
            assert max(seen["committed"].values()) == 1
            # What is charged is what the server counted, and the bound of what a kill took away.
            lost = sum(row.worst_usd or 0.0 for row in rows if row.state == "lost")
            assert output["cost_usd"] == pytest.approx(ledger.spent(output["run_id"]).result().cost_usd)
            assert output["cost_usd"] == pytest.approx(expected["cost_usd"] + lost)
