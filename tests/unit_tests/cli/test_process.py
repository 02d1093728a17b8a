"""The command line as a process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

from langchain_r2._version import __version__
from tests.unit_tests.cli.console import child_env, run


def test_version() -> None:
    assert run("--version").stdout == f"langchain-r2 {__version__}\n"


def test_the_module_runs() -> None:
    command = [sys.executable, "-m", "langchain_r2.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_env(), check=True, timeout=60)
    assert all(name in done.stdout for name in ("ask", "batch", "draw", "eval"))


def test_a_narrow_encoding_breaks_nothing(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        from langchain_r2 import cli
        from langchain_r2.cli import shared
        from langchain_r2 import create_r2_graph
        from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
        from langchain_r2.testing import scripted_message, scripted_pool

        unsure = scripted_message("answer: 1", "", 0.1)
        pool = scripted_pool([unsure], ["answer: caf\\u00e9 \\ud800"])
        graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=FixedAllocator(pool, "m1"))
        shared.build_graph = lambda *_, **__: graph
        cli.main()
        """)
    )
    env = {**child_env(), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, str(script), "ask", "naïve"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=60)
    assert "Answer: caf\\xe9 \\xd800" in done.stdout
    assert "^ m2" in done.stdout
    assert done.stderr == ""
