import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_free_calculator_makes_the_dear_multiplications_cheap() -> None:
    done = subprocess.run(
        [sys.executable, "examples/07_tools.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    totals = [line.split() for line in lines if "USD" in line]
    alone, helped = (float(words[-2]) for words in totals)

    assert all("2642," in words for words in totals)
    assert helped < alone / 2
    assert "  1 multiply   1650" in lines
