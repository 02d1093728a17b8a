"""Threads and checkpointers: what is kept is plain data, and a thread goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_r2 import R2Context
from langchain_r2.testing import scripted_message

THREAD: Any = {"configurable": {"thread_id": "1"}}


def echo(prompt: str) -> Any:
    said = prompt.rsplit("Your subtask: ", 1)[-1].replace("<data>", "").replace("</data>", "")
    return scripted_message(f"answer: <{said}>", prompt)


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as made:
        yield made


def rich(make: Any, **options: Any) -> Any:
    """A graph whose runs climb, replan and aggregate."""
    script = lambda p: scripted_message("answer: x", p, 0.1 if p.endswith(("hard", "odd")) else 1.0)  # noqa: E731
    replans = {"hard": "1: part a\n2: part b", "odd": "1: #query"}
    return make(
        script, echo, echo, plan="1: easy\n2: hard\n3: odd", replans=replans,
        prices=(1.0, 1000.0, 2000.0), aggregation="llm", **options,
    ).graph  # fmt: skip


def test_a_second_turn_starts_anew_and_keeps_the_messages(make: Any, saver: Any) -> None:
    graph = make(echo, checkpointer=saver).graph
    first = graph.invoke({"query": "one"}, THREAD)
    second = graph.invoke({"query": "two"}, THREAD)
    assert (second["query"], second["answer"], second["status"]) == ("two", "<two>", "ok")
    assert len(second["attempts"]) == len(first["attempts"])
    assert [m.text for m in second["messages"]] == ["one", "<one>", "two", "<two>"]
    third = graph.invoke({"messages": [HumanMessage("three")]}, THREAD)
    assert third["answer"] == "<three>"
    assert [m.text for m in third["messages"]][-2:] == ["three", "<three>"]


def test_a_second_turn_never_shows_the_first_ones_answer_as_its_own(make: Any) -> None:
    graph = make(echo, checkpointer=InMemorySaver()).graph
    graph.invoke({"query": "one"}, THREAD)
    states = list(graph.stream({"messages": [HumanMessage("two")]}, THREAD, stream_mode="values"))
    seen = [(s["answer"], s["results"]) for s in states if s["query"] == "two"]
    assert seen[0] == (None, [])
    assert {answer for answer, _ in seen} == {None, "<two>"}


def test_a_turn_after_a_failed_one_answers_the_new_query(make: Any, saver: Any) -> None:
    script = lambda p: ConnectionError("down") if "one" in p else echo(p)  # noqa: E731
    graph = make(script, checkpointer=saver).graph
    assert graph.invoke({"query": "one"}, THREAD, context=R2Context(max_replans=0))["status"] == "error"
    second = graph.invoke({"query": "two"}, THREAD)
    assert (second["query"], second["answer"]) == ("two", "<two>")


def test_a_rich_run_is_kept_whole(make: Any, saver: Any) -> None:
    graph = rich(make, checkpointer=saver)
    output = graph.invoke({"query": "q"}, THREAD)
    kept = graph.get_state(THREAD).values
    assert {k: v for k, v in kept.items() if k != "messages"} == {k: v for k, v in output.items() if k != "messages"}
    assert {a["direction"] for a in output["attempts"]} == {"initial", "upward", "replan"}
    assert {a["role"] for a in output["attempts"]} == {"decomposer", "executor", "aggregator"}


def test_the_state_and_the_events_are_json(make: Any) -> None:
    graph = rich(make)
    output = graph.invoke({"query": "q"})
    plain = {k: v for k, v in output.items() if k != "messages"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    for event in graph.stream({"query": "q"}, stream_mode="custom"):
        assert json.loads(json.dumps(event, allow_nan=False)) == event


def test_a_checkpoint_needs_no_trust(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with LANGGRAPH_STRICT_MSGPACK=true, which is read when LangGraph is imported."""
    monkeypatch.setattr(_msgpack, "STRICT_MSGPACK_ENABLED", True)
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    graph = rich(make, checkpointer=saver)
    output = graph.invoke({"query": "q"}, THREAD)
    kept = graph.get_state(THREAD).values
    assert kept["results"] == output["results"]
    assert [m.text for m in kept["messages"]] == [m.text for m in output["messages"]]
    assert graph.invoke({"query": "again"}, THREAD)["query"] == "again"


def test_a_run_with_the_strict_setting_survives() -> None:
    """The same in a process of its own, with the environment variable."""
    import os
    import subprocess
    import sys

    code = """
from langchain_r2 import R2Context, create_r2_graph
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.testing import scripted_pool
from langgraph.checkpoint.memory import InMemorySaver
pool = scripted_pool(["answer: a"])
graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), checkpointer=InMemorySaver())
thread = {"configurable": {"thread_id": "1"}}
for query in ("one", "two"):
    graph.invoke({"query": query}, thread, context=R2Context(budget_usd=1.0))
values = graph.get_state(thread).values
reason = values["results"][0]["verdict"]["reason"]
print(values["query"], values["answer"], [m.text for m in values["messages"]], reason)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.strip() == "two a ['one', 'a', 'two', 'a'] confident"


async def test_a_run_that_broke_goes_on_without_paying_twice(make: Any) -> None:
    """Wrong configuration of the second subtask's model raises; what had finished is not run again."""
    from langchain_r2.errors import ConfigurationError

    broken = [True]

    def script(prompt: str) -> Any:
        if "second" in prompt and broken[0]:
            return ConfigurationError("no key")
        return echo(prompt)

    made = make(script, plan="1: first\n2: second #1", checkpointer=InMemorySaver())
    with pytest.raises(ConfigurationError):
        await made.graph.ainvoke({"query": "q"}, THREAD)
    broken[0] = False
    output = await made.graph.ainvoke(None, THREAD)
    assert output["answer"] == "<second <first>>"
    assert len(made.router.call_history) == 1
    assert len([c for c in made.calls("m1") if c.endswith("Your subtask: first")]) == 1
