"""A question outlives its process: another one gives the answer, and nothing is paid twice."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from langchain_r2 import R2Context, resume
from langchain_r2.call_ledger import CallLedger
from langchain_r2.confidence import Confidence
from langchain_r2.graph import create_r2_graph
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.resuming import waiting
from langchain_r2.routers.baselines import cheapest
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool

THREAD: Any = {"configurable": {"thread_id": "one"}}
LIMITS = R2Context(approve_plan=True, approve_upward_usd=0.0, max_replans=0, budget_usd=1.0)


def said(file: Path, probability: float) -> Any:
    """A script that writes every call into a file, which all processes share."""

    def script(prompt: str) -> Any:
        text = prompt.rsplit("Your subtask: ", 1)[-1].split(maxsplit=1)[0]
        with file.open("a") as log:
            log.write(f"{text} {probability}\n")
        return scripted_message(f"answer: {text}", prompt, probability)

    return script


@contextmanager
def opened(home: Path, execution: Any, *, with_ledger: bool) -> Iterator[Any]:
    """The graph, as every process makes it."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    with ExitStack() as stack:
        saver = stack.enter_context(SqliteSaver.from_conn_string(str(home / "threads.db")))
        ledger = stack.enter_context(CallLedger(home / "calls.db")) if with_ledger else None
        pool = scripted_pool(said(home / "log", 0.2), said(home / "log", 1.0))

        def plan(prompt: str) -> str:
            with (home / "log").open("a") as log:
                log.write("plan\n")
            return "1: one\n2: two\n3: three #1 #2"

        router = ModelSpec(name="r", model=ScriptedChatModel(script=plan), price=Price(input=1.0, output=1.0))
        yield create_r2_graph(
            pool,
            decomposer=PromptedDecomposer(router),
            allocator=cheapest(pool),
            confidence=Confidence(),
            checkpointer=saver,
            ledger=ledger,
            execution=execution,
        )


def told(output: Any) -> dict[str, Any]:
    """What a process tells the test."""
    if stops := output.get("__interrupt__"):
        return {"asks": sorted(stop.value.get("subtask_id", "the plan") for stop in stops)}
    return {"answer": output["answer"], "status": output["status"], "rows": len(output["attempts"])}


STEPS: dict[str, Callable[[Any], Any]] = {
    "ask": lambda graph: graph.invoke({"query": "q"}, THREAD, context=LIMITS),
    "approve": lambda graph: resume(graph, "one", decisions="approve"),
    "command": lambda graph: graph.invoke(
        Command(resume={w.id: {"action": "approve"} for w in waiting(graph, "one")}), THREAD
    ),
    "look": lambda graph: resume(graph, "one"),
}


def step(home: Path, execution: str, with_ledger: bool, name: str) -> Any:
    """Do one step in a process of its own."""
    command = [sys.executable, __file__, str(home), execution, str(int(with_ledger)), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("with_ledger", [True, False])
@pytest.mark.parametrize("execution", ["tasks", "send"])
def test_every_answer_may_come_in_another_process(tmp_path: Path, execution: str, with_ledger: bool) -> None:
    def here(name: str) -> Any:
        with opened(tmp_path, execution, with_ledger=with_ledger) as graph:
            return told(STEPS[name](graph))

    assert step(tmp_path, execution, with_ledger, "ask") == {"asks": ["the plan"]}
    assert step(tmp_path, execution, with_ledger, "approve") == {"asks": ["1", "2"]}
    assert here("look") == {"asks": ["1", "2"]}
    assert here("command") == {"asks": ["3"]}
    assert here("approve") == {"answer": "three", "status": "ok", "rows": 7}
    calls = (tmp_path / "log").read_text().splitlines()
    assert sorted(calls) == sorted(["plan", *(f"{t} {p}" for t in ("one", "two", "three") for p in (0.2, 1.0))])
    if with_ledger:
        with CallLedger(tmp_path / "calls.db") as ledger:
            known = ledger.newest("one").result()
            assert known is not None
            assert (known.state, known.context["approve_plan"]) == ("done", True)


if __name__ == "__main__":
    with opened(Path(sys.argv[1]), sys.argv[2], with_ledger=sys.argv[3] == "1") as made:
        print(json.dumps(told(STEPS[sys.argv[4]](made))))
