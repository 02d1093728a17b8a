"""Records of runs that were really run, on scripted models."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2 import R2Context
from langchain_r2.run_record import run_record
from langchain_r2.testing import scripted_message
from langchain_r2.trace import PromptKeeper
from langchain_r2.types import RunRecord

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def moved(make: Callable[..., Any]) -> RunRecord:
    """A run with a replan in a replan, a sub-plan that was left, a step up, and a hostile text."""

    def script(prompt: str) -> Any:
        hard = "hard" in prompt.rsplit("Your subtask: ", 1)[-1]
        return scripted_message("answer: x", prompt, 0.1 if hard else 1.0)

    replans = {"hard too": "1: #query", "hard": "1: part a\n2: hard too"}
    plan = f"1: easy {HOSTILE}\n2: hard #1\n3: beside\n4: join #2 and #3"
    made = make(script, lambda p: scripted_message("answer: y", p, 0.9), plan=plan, replans=replans, prices=(1, 1000))
    prompts = PromptKeeper()
    state = made.graph.invoke({"query": HOSTILE}, {"callbacks": [prompts]}, context=R2Context(max_replans=2))
    return prompts.add_to(run_record(state, id="run/1", wall_s=1.0))
