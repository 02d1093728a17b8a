"""The page and the example about approval do what they say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "approval.md").read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102 - our own page
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "1630 approved"
    assert said[2].startswith("[('1', 'r2-large')")
    assert said[3:5] == ["1620", "rejected too dear None"]
    assert said[5] == "1630 [('1', True), ('2', False)]"
    assert said[6].startswith("{'r2-max':")
    assert said[7] == "1620"


def test_the_example_goes_on_in_another_connection_and_over_one_part_again() -> None:
    command = [sys.executable, "examples/08_approval_and_resume.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == ["plan", "step up", "answer", "again"]
    assert all("1630" in line for line in lines[-2:])
