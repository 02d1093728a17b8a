"""What ``import langchain_r2`` costs over the parts of LangGraph and LangChain that any router graph imports."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Result, difference, interleaved, interval

BASE: Final = "from langgraph.graph import StateGraph; from langchain_core.language_models import BaseChatModel"
_CHILD: Final = """\
import time
started = time.perf_counter()
{line}
took = time.perf_counter() - started
import json, sys
from tests.benchmarks.measure import memory_mb
print(json.dumps([took, memory_mb(), "torch" in sys.modules]))
"""


def run(*, quick: bool) -> Iterator[Result]:
    """Measure in fresh processes."""
    seen: dict[str, list[tuple[float, float, bool]]] = {"ours": [], "base": []}

    def way(name: str, line: str) -> float:
        command = [sys.executable, "-c", _CHILD.format(line=line)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        seen[name].append(json.loads(done.stdout))
        return seen[name][-1][0]

    rounds = 4 if quick else 25
    ways = {"ours": lambda: way("ours", "import langchain_r2"), "base": lambda: way("base", BASE)}
    seconds = interleaved(rounds, ways)
    yield Result(
        name="import, seconds over LangGraph and langchain-core",
        **interval(difference, seconds["ours"], seconds["base"]),
        unit="s",
        bar=0.15,
        rounds=rounds,
        details={"ours_s": min(seconds["ours"]), "base_s": min(seconds["base"])},
    )
    memory = {name: [row[1] for row in rows[1:]] for name, rows in seen.items()}
    yield Result(
        name="import, memory over LangGraph and langchain-core",
        **interval(difference, memory["ours"], memory["base"]),
        unit="MB",
        bar=15.0,
        rounds=rounds,
        details={"ours_mb": min(memory["ours"]), "base_mb": min(memory["base"])},
    )
    torch = float(any(row[2] for row in seen["ours"]))
    yield Result(name="import, torch loaded", value=torch, low=torch, high=torch, unit="", bar=0.0, rounds=rounds)
