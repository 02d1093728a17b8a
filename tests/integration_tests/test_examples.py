"""The numbered examples: short, and run as a user runs them; those that are not here are run where their topic is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


def run(example: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, f"examples/{example}"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=[e.stem for e in EXAMPLES])
def test_an_example_is_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 60


def test_own_pool_climbs_from_the_unsure_model() -> None:
    out = run("02_own_pool.py")
    assert "executor 1 strong upward low_confidence" in out
    assert out.splitlines()[-1] == "from the strong model"


def test_streaming_shows_decisions_and_the_graph() -> None:
    lines = run("07_streaming.py").splitlines()
    told = [line.split()[0] for line in lines if line.startswith("   ")]
    assert told.count("plan") == 3
    assert "attempt" in told
    assert "graph TD;" in lines


def test_evaluate_compares_on_own_questions() -> None:
    out = run("09_evaluate.py")
    assert "fixed r2-max" in out
    assert out.splitlines()[-1] == "r2: 4 of 4 right"


@pytest.mark.slow
def test_training_a_decomposer_and_using_it() -> None:
    pytest.importorskip("trl")
    lines = run("10_train_tiny.py").splitlines()
    assert lines[:3] == ["training sample: done", "training label: done", "training sft: done"]
    assert lines[-1] == "answer: 408, planned by mine"


def test_training_says_what_it_needs() -> None:
    hidden = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'trl' else f(n, *a)"
    code = f"{hidden}\nimport runpy; runpy.run_path('examples/10_train_tiny.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Skipped: ")
    assert ".[train]" in done.stdout
