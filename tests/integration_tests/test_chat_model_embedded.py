"""``ChatR2`` over the embedded models: real answers, the example, the snippets of the how-to."""

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_r2 import ChatR2
from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks.arithmetic import grade, problems

ROOT = Path(__file__).parents[2]
DRAWN = list(islice(problems("validation", seed=3, shard="tests"), 20))


async def test_it_answers_problems_it_has_not_seen() -> None:
    model = ChatR2(**embedded_router())
    replies = await model.abatch([p.query for p in DRAWN])
    right = [grade(str(reply.text), p.answer) for reply, p in zip(replies, DRAWN, strict=True)]
    assert sum(right) / len(right) >= 0.8
    for reply in replies:
        told = reply.response_metadata["r2"]
        assert told["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in told["usage"].values()))


def test_in_a_conversation() -> None:
    asked = "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"
    history = [SystemMessage("Be brief."), HumanMessage("hello"), AIMessage("hi"), HumanMessage(asked)]
    assert ChatR2(**embedded_router()).invoke(history).text == "408"


def test_the_example_runs() -> None:
    command = [sys.executable, str(ROOT / "examples" / "03_swap_chat_model.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200, cwd=ROOT)
    assert "chain: 2642\nstream: 2642\n" in done.stdout
    assert "answer: 2642 (ok)" in done.stdout


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_snippet_of_the_how_to_runs() -> None:
    text = (ROOT / "docs" / "chat_model.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 4
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(snippet, names)  # noqa: S102 - our own documentation
