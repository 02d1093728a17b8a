"""An evaluation whose process is killed goes on: nothing that has a record is run again, nothing is there twice."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

COMMAND = [
    sys.executable, "-c", "from langchain_r2.cli import main; main()", "eval", "arithmetic", "--limit", "15",
    "--methods", "direct", "--concurrency", "4",
]  # fmt: skip


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True) if file.exists() else []


def test_a_killed_evaluation_goes_on(tmp_path: Path) -> None:
    command, file = [*COMMAND, "--out", str(tmp_path / "out")], tmp_path / "out" / "records.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(lines(file)) < 20 and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = [line for line in lines(file) if line.endswith(b"\n")]
    assert 20 <= len(before) < 135
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    after = lines(file)
    assert after[: len(before)] == before
    rows: list[dict[str, Any]] = [json.loads(line) for line in after]
    counts = Counter((row["method"], row["id"]) for row in rows)
    assert len(counts) == 9 * 15
    assert set(counts.values()) == {1}
    facts = json.loads((tmp_path / "out" / "pool.json").read_text())
    assert facts["missing"] == {}
    assert 0 < facts["calls_sent"] <= sum(len(row["attempts"]) for row in rows)
