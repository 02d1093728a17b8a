"""The examples and the page about tools and retrievers do what they say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit_tests.middleware.agents import ToolModel

ROOT = Path(__file__).parents[2]


def lines_of(example: str) -> list[str]:
    done = subprocess.run([sys.executable, f"examples/{example}"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_free_calculator_makes_the_dear_multiplications_cheap() -> None:
    lines = lines_of("05_tools.py")
    totals = [line.split() for line in lines if "USD" in line]
    alone, helped = (float(words[-2]) for words in totals)

    assert all("2642," in words for words in totals)
    assert helped < alone / 2
    assert "  1 multiply   1650" in lines


def test_retrieval_is_free_and_the_models_do_the_rest() -> None:
    lines = lines_of("06_retrieval.py")

    assert lines[1].startswith("  documents, 0.00000000 USD: ## Other middleware")
    assert lines[-2].endswith(": 1650")


def test_the_code_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {"chat": ToolModel(script=["answer: 1"], bound=[])}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tools.md").read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102 - our own page

    assert names["clerk"].skills == "with tools: multiply"
    assert "('multiply', '408')" in capsys.readouterr().out
