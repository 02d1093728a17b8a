"""The page about the middleware and its example do what they say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit_tests.middleware.agents import ToolModel, add, pool_of, sure

ROOT = Path(__file__).parents[3]


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "middleware.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {
        "pool": pool_of([sure("120")]),
        "model": ToolModel(script=[AssertionError()], bound=[]),
        "tools": [add],
    }
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own page

    assert len(blocks) == 3
    assert capsys.readouterr().out.split()[:3] == ["user", "m1", "confident"]


def test_the_example_climbs_over_a_wrong_argument_and_an_unsure_answer() -> None:
    done = subprocess.run(
        [sys.executable, "examples/04_middleware.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["small", "initial", "allocated", "invalid_output"]
    assert "There are 120 bolts." in lines
    assert lines[-1].endswith("USD")
