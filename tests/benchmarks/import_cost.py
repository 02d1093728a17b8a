"""What ``import langchain_r2`` costs over the parts of LangGraph and LangChain that any router graph imports.

A fresh process imports those first, then ours, and measures the second: what their import takes differs more from
process to process than ours takes. Time is processor time: an import waits for nothing else.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Result, difference, interval

_CHILD: Final = """\
import json, sys, time
from tests.benchmarks.measure import memory_mb
from langgraph.graph import StateGraph; from langchain_core.language_models import BaseChatModel
before, started = memory_mb(), time.process_time()
import langchain_r2
took = time.process_time() - started
print(json.dumps([took, memory_mb() - before, "torch" in sys.modules]))
"""


def run(*, quick: bool) -> Iterator[Result]:
    """Measure in fresh processes."""
    # As installed packages have it: compiled once, even where this shell keeps Python from writing that down.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def imported() -> tuple[float, float, bool]:
        command, checkout = [sys.executable, "-c", _CHILD], Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout, env=environment)
        seconds, megabytes, torch = json.loads(done.stdout)
        return seconds, megabytes, torch

    imported()
    rows = [imported() for _ in range(4 if quick else 25)]
    for what, unit, bar, figures in (
        ("processor seconds", "s", 0.15, [row[0] for row in rows]),
        ("memory", "MB", 15.0, [row[1] for row in rows]),
        ("torch loaded", "", 0.0, [float(row[2]) for row in rows]),
    ):
        name = f"import, {what} over LangGraph and langchain-core"
        yield Result(
            name=name, **interval(difference, figures, [0.0] * len(figures)), unit=unit, bar=bar, rounds=len(rows)
        )
