"""``execution="send"``: every subtask a node of its own, with the answers, the trace and the bill of ``tasks``."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langchain_r2 import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.ledger import bill
from langchain_r2.testing import scripted_message

DIAMOND = "1: add 1 and 2\n2: add 3 and #1\n3: add 4 and #1\n4: add #2 and #3"


def by_subtask(output: Any) -> list[tuple[str | None, str, str, str]]:
    rows = [(a["subtask_id"], a["role"], a["model"], a["direction"]) for a in output["attempts"]]
    return sorted(rows, key=str)


def test_it_does_what_tasks_do(make: Any, says: Any) -> None:
    def run(execution: str) -> Any:
        made = make(says("a", 0.2), says("b", 0.9), plan=DIAMOND, execution=execution)
        return made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))

    sent, done = run("send"), run("tasks")
    assert sent["answer"] == done["answer"] == "b"
    assert [r["id"] for r in sent["results"]] == ["1", "2", "3", "4"]
    assert [(r["id"], r["text"], r["model"]) for r in sent["results"]] == [
        (r["id"], r["text"], r["model"]) for r in done["results"]
    ]
    assert by_subtask(sent) == by_subtask(done)
    assert bill(sent["attempts"]).cost_usd == pytest.approx(bill(done["attempts"]).cost_usd)


async def test_every_subtask_is_a_node(make: Any, says: Any) -> None:
    graph = make(says("a"), plan=DIAMOND, execution="send").graph
    updates = [u async for u in graph.astream({"query": "q"}, stream_mode="updates")]
    names = [name for update in updates for name in update]
    waves = ["schedule", "subtask", "schedule", "subtask", "subtask", "schedule", "subtask", "schedule"]
    assert names == ["decompose", "allocate", *waves, "aggregate"]
    drawn = graph.get_graph(xray=True).draw_mermaid()
    assert "reallocate_upward" in drawn
    assert "reallocate_downward" in drawn


def test_a_subtask_is_replanned(make: Any, says: Any) -> None:
    made = make(
        lambda prompt: scripted_message("answer: x", prompt, 0.1 if "too hard" in prompt else 0.99),
        plan="1: too hard\n2: use #1",
        replans={"too hard": "1: part a\n2: part b"},
        execution="send",
    )
    output = made.graph.invoke({"query": "q"})
    assert [s["text"] for s in output["results"][0]["parts"]] == ["part a", "part b"]
    assert {a["subtask_id"] for a in output["attempts"] if a["direction"] == "replan"} == {"1", "1.1", "1.2"}


def test_a_thread_goes_on_with_new_results(make: Any, says: Any) -> None:
    graph = make(says("a"), plan="1: one\n2: two", execution="send", checkpointer=InMemorySaver()).graph
    config = {"configurable": {"thread_id": "t"}}
    first = graph.invoke({"query": "q"}, config)
    second = graph.invoke({"query": "again"}, config)
    assert len(first["results"]) == len(second["results"]) == 2
    assert len([a for a in second["attempts"] if a["role"] == "executor"]) == 2


@pytest.mark.parametrize("limit", [4e-4, 8e-4, 2e-3, 1.0])
def test_a_wave_keeps_to_the_budget(make: Any, says: Any, limit: float) -> None:
    plan = "\n".join(f"{i}: part {i}" for i in range(1, 9))
    made = make(says("a"), plan=plan, prices=[10.0], execution="send")
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=limit))
    assert (bill(output["attempts"]).cost_usd or 0.0) <= limit
    assert output["status"] in {"ok", "budget_exhausted"}
    assert (output["status"] == "ok") == (limit == 1.0)


def test_another_way_is_an_error(make: Any, says: Any) -> None:
    with pytest.raises(BadValueError, match="execution is 'waves'; allowed: tasks, send"):
        make(says("a"), execution="waves")
