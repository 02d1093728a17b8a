"""The quick part of the scoreboard: every row keeps its promises, and one that is not protected fails."""

import json
import subprocess
import sys
from pathlib import Path

from tests.scoreboard.row import rows

ROOT = Path(__file__).parents[2]


def scoreboard(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.scoreboard", "--quick", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_every_row_keeps_its_promises(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    ended = scoreboard("--out", str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line for line in lines if "row" in line and not line["passed"]] == []
    assert {line["row"] for line in lines if "row" in line} == set(rows())
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_row_without_its_protection_fails() -> None:
    ended = scoreboard("R2", "--without", "clients without retries")
    assert ended.returncode == 1
    assert "more than 3 requests" in ended.stdout


def test_every_row_names_what_it_is_protected_by() -> None:
    assert all(row.protections and row.criterion for row in rows().values())
