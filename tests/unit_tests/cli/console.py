"""The command line in this process, on scripted models: what its tests share."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from langchain_r2 import ModelPool, cli
from langchain_r2.errors import RejectedError
from langchain_r2.testing import ScriptedChatModel, scripted_message

Cli = Callable[..., Result]

FILE_POOL = """
[[models]]
name = "local"
model = "m"
base_url = "http://localhost:1/v1"
api_key_env = "R2_TEST_KEY"
price = { input = 1.0, output = 1.0 }
"""


def weak(prompt: str) -> Any:
    """Plans, fails at sums that have a 7 in them, and raises on what says so."""
    if "refuse" in prompt:
        raise RejectedError("refused")
    if prompt.startswith("plan"):
        return "1 : 33 * 50\n2 : #1 + 7" if "boxes" in prompt else f"1 : {prompt.removeprefix('plan : ')}"
    if "7" in prompt:
        return scripted_message("answer: [bold]1\x1b[31m", prompt, 0.2)
    return scripted_message("answer: 1650", prompt, 0.99)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)


def calls(pool: ModelPool) -> int:
    return sum(len(m.model.call_history) for m in pool if isinstance(m.model, ScriptedChatModel))


def write_queries(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def child_env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "LANGSMITH_TRACING": "false"}
