"""Whole runs: plans, aggregation, messages, events, drawing."""

import asyncio
import threading
import warnings
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import PrivateAttr

from langchain_r2 import R2Context, create_r2_graph
from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool

DIAMOND = "1: top\n2: left of #1\n3: right of #1\n4: join #2 and #3"


def echo(prompt: str) -> Any:
    said = prompt.rsplit("Your subtask: ", 1)[-1].replace("<data>", "").replace("</data>", "")
    return scripted_message(f"answer: <{said}>", prompt)


def timeless(output: Any) -> Any:
    rows = [*output["attempts"], *(a for r in output["results"] for a in r["attempts"])]
    for row in rows:
        row["wall_s"] = row["started_at"] = 0.0
    for move in (m for r in output["results"] for m in r["moves"]):
        move["at"] = 0.0
    return {**output, "run_id": "", "messages": [(m.type, m.text) for m in output["messages"]]}


def test_answers_flow_along_the_plan(make: Any) -> None:
    output = make(echo, plan=DIAMOND).graph.invoke({"query": "q"})
    assert output["answer"] == "<join <left of <top>> and <right of <top>>>"
    assert [r["id"] for r in output["results"]] == ["1", "2", "3", "4"]
    assert output["status"] == "ok"


def test_an_answer_that_is_needed_but_not_referred_to_is_shown(make: Any) -> None:
    made = make(echo, plan="1: top\n2: use it (needs 1)")
    made.graph.invoke({"query": "q"})
    assert "Answer of subtask 1: <data><top></data>" in made.calls("m1")[1]


def test_a_plan_that_does_not_decompose_shows_the_query_alone(make: Any) -> None:
    made = make(echo)
    made.graph.invoke({"query": "how many?"})
    assert made.calls("m1") == ["how many?"]


@pytest.mark.parametrize("plan", ["1: #query", DIAMOND, "1: a\n2: b\n3: c", "nothing usable"])
@pytest.mark.parametrize("aggregation", ["last", "join", "llm"])
async def test_sync_and_async_give_the_same(make: Any, plan: str, aggregation: str) -> None:
    def made() -> Any:
        script = lambda p: scripted_message(f"answer: {len(p)}", p, 0.1 if "left" in p else 0.9)  # noqa: E731
        return make(script, echo, plan=plan, aggregation=aggregation).graph

    value = {"query": "q"}
    expected = timeless(made().invoke(value))
    assert timeless(await made().ainvoke(value)) == expected
    assert [timeless(o) for o in made().batch([value, value])] == [expected] * 2


@pytest.mark.parametrize(("aggregation", "answer"), [("last", "<y>"), ("join", "<x>\n<y>"), ("llm", "merged")])
def test_aggregation(make: Any, says: Any, aggregation: str, answer: str) -> None:
    made = make(echo, echo, says("merged"), plan="1: x\n2: y", aggregation=aggregation, aggregator="m3")
    output = made.graph.invoke({"query": "the query"})
    assert output["answer"] == answer
    aggregated = [a for a in output["attempts"] if a["role"] == "aggregator"]
    assert [a["model"] for a in aggregated] == (["m3"] if aggregation == "llm" else [])
    if aggregation == "llm":
        (prompt,) = made.calls("m3")
        assert "the query" in prompt
        assert "Answer of subtask 1: <data><x></data>\nAnswer of subtask 2: <data><y></data>" in prompt


def test_one_subtask_needs_no_aggregator(make: Any, says: Any) -> None:
    made = make(echo, says("merged"), aggregation="llm", aggregator="m2")
    assert made.graph.invoke({"query": "x"})["answer"] == "<x>"
    assert made.calls("m2") == []


def test_an_aggregator_that_fails_leaves_the_last_answer(make: Any) -> None:
    made = make(echo, lambda p: ConnectionError("down"), plan="1: x\n2: y", aggregation="llm", aggregator="m2")
    output = made.graph.invoke({"query": "q"})
    assert (output["answer"], output["status"]) == ("<y>", "best_effort")
    assert "aggregator" in output["error"]
    assert output["attempts"][-1]["role"] == "aggregator"


def test_messages_in_and_out(make: Any) -> None:
    output = make(echo).graph.invoke({"messages": [SystemMessage("be brief"), HumanMessage("how many?")]})
    assert (output["query"], output["answer"]) == ("how many?", "<how many?>")
    assert [(m.type, m.text) for m in output["messages"]] == [
        ("system", "be brief"),
        ("human", "how many?"),
        ("ai", "<how many?>"),
    ]


def test_a_query_becomes_a_message(make: Any) -> None:
    output = make(echo).graph.invoke({"query": "how many?"})
    assert [(m.type, m.text) for m in output["messages"]] == [("human", "how many?"), ("ai", "<how many?>")]


@pytest.mark.parametrize(
    "value",
    [
        {"query": ""},
        {"query": " \n"},
        {"query": 7},
        {"messages": []},
        {"messages": [AIMessage("hello")]},
        {"messages": [HumanMessage(" ")]},
    ],
    ids=str,
)
def test_an_empty_query_is_an_error_that_says_what_to_do(make: Any, value: Any) -> None:
    made = make(echo)
    with pytest.raises(BadValueError, match=r"Invoke the graph with"):
        made.graph.invoke(value)
    assert made.router.call_history == []


def test_every_decision_is_an_event(make: Any, says: Any) -> None:
    hard = {
        "plan": "1: easy #query\n2: hard",
        "replans": {"hard": "1: part a\n2: part b"},
        "prices": (1.0, 1.5, 1000.0),
    }
    script = lambda p: scripted_message("answer: x", p, 0.1 if p.endswith("hard") else 1.0)  # noqa: E731
    made = make(script, script, says("y"), **hard)
    events = list(made.graph.stream({"query": "q"}, stream_mode="custom"))
    kinds = [e["event"] for e in events]
    assert kinds[:2] == ["plan", "allocation"]
    assert kinds[-1] == "answer"
    assert kinds.count("attempt") == 5
    (climb,) = [e for e in events if e["event"] == "reallocate_upward"]
    assert climb == {
        "event": "reallocate_upward",
        "subtask_id": "2",
        "from": "m1",
        "to": "m2",
        "reason": "low_confidence",
    }
    (replan,) = [e for e in events if e["event"] == "replan"]
    assert (replan["subtask_id"], [s["text"] for s in replan["plan"]["subtasks"]]) == ("2", ["part a", "part b"])
    assert events[-1] == {"event": "answer", "answer": "x", "status": "ok"}


async def test_events_come_from_async_runs_too(make: Any, says: Any) -> None:
    plan, on_m3 = "1: add 1 and 2\n2: add 3 and #1\n3: add 4 and #2", dict.fromkeys("123", "m3")
    made = make(says("a"), says("b"), says("c"), plan=plan, models=on_m3, kind_of=lambda text: "add")
    events = [e async for e in made.graph.astream({"query": "q"}, stream_mode="custom")]
    down = [e for e in events if e["event"] == "reallocate_downward"]
    assert down == [{"event": "reallocate_downward", "subtask_id": "3", "from": "m3", "to": "m2", "reason": "record"}]


def test_a_replan_that_cannot_be_split_is_an_event(make: Any, says: Any) -> None:
    events = list(make(says("a", 0.1)).graph.stream({"query": "q"}, stream_mode="custom"))
    assert {"event": "not_replanned", "subtask_id": "1", "reason": "not_split"} in events


@pytest.mark.parametrize("size", [2, 64])
def test_independent_subtasks_overlap_in_threads(make: Any, size: int) -> None:
    """Each of them waits inside its call until all others are there."""
    barrier = threading.Barrier(size)

    def meet(prompt: str) -> Any:
        barrier.wait(20)
        return scripted_message("answer: met", prompt)

    plan = "\n".join(f"{i}: part {i}" for i in range(1, size + 1))
    output = make(meet, plan=plan).graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    assert [r["answer"] for r in output["results"]] == ["met"] * size
    assert output["status"] == "ok"


class Meeting(ScriptedChatModel):
    """Every call waits until ``size`` of them are there."""

    script: Any = ("answer: met",)
    size: int = 2
    _here: int = PrivateAttr(default=0)
    _all: Any = PrivateAttr(default_factory=asyncio.Event)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        self._here += 1
        if self._here >= self.size:
            self._all.set()
        await asyncio.wait_for(self._all.wait(), 10)
        return await super()._agenerate(*args, **kwargs)


@pytest.mark.parametrize("size", [2, 100])
async def test_independent_subtasks_overlap_on_the_event_loop(make: Any, size: int) -> None:
    plan = "\n".join(f"{i}: part {i}" for i in range(1, size + 1))
    output = await make(Meeting(size=size), plan=plan).graph.ainvoke({"query": "q"}, context=R2Context(max_replans=0))
    assert [r["answer"] for r in output["results"]] == ["met"] * size


async def test_a_finished_subtask_never_waits_for_a_slow_sibling(make: Any) -> None:
    """1 waits for 3, which needs only 2: with rounds of ready subtasks this would never end."""
    third = asyncio.Event()

    class Ordered(ScriptedChatModel):
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            text = str(messages[-1].text)
            if "slow" in text:
                await asyncio.wait_for(third.wait(), 20)
            if "third" in text:
                third.set()
            return await super()._agenerate(messages, *args, **kwargs)

    made = make(Ordered(script=echo), plan="1: slow\n2: quick\n3: third #2")
    output = await made.graph.ainvoke({"query": "q"}, context=R2Context(max_replans=0))
    assert output["status"] == "ok"


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("bound", [1, 2])
@pytest.mark.timeout(30)
async def test_a_bound_on_concurrency_is_no_deadlock(make: Any, how: str, bound: int) -> None:
    graph, config = make(echo, plan=DIAMOND).graph, {"max_concurrency": bound}
    output = await graph.ainvoke({"query": "q"}, config) if how == "async" else graph.invoke({"query": "q"}, config)
    assert output["status"] == "ok"


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_thousand_independent_subtasks(make: Any, how: str) -> None:
    plan = "\n".join(f"{i}: part {i}" for i in range(1, 1001))
    graph = make(echo, plan=plan).graph
    output = await graph.ainvoke({"query": "q"}) if how == "async" else graph.invoke({"query": "q"})
    assert [r["answer"] for r in output["results"]] == [f"<part {i}>" for i in range(1, 1001)]


def test_a_long_chain(make: Any) -> None:
    plan = "\n".join(f"{i}: part {i}" + (f" of #{i - 1}" if i > 1 else "") for i in range(1, 101))

    def script(prompt: str) -> Any:
        last = prompt.rsplit(" ", 1)[-1].removeprefix("<data>").removesuffix("</data>")
        return scripted_message(f"answer: {last}x"[:200], prompt)

    output = make(script, plan=plan).graph.invoke({"query": "q"})
    assert output["answer"] == "1" + "x" * 100


def test_the_default_graph_says_how_to_calibrate() -> None:
    with pytest.warns(UserWarning, match=r"langchain-r2 calibrate .*calibrated_router\(") as caught:
        create_r2_graph(scripted_pool(["x"]))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_r2_graph(pool := scripted_pool(["x"]), allocator=cheapest(pool))


def test_the_default_graph_asks_the_strongest_for_the_plan_and_the_cheapest_for_the_difficulty() -> None:
    with pytest.warns(UserWarning, match="calibrat"):
        graph = create_r2_graph(scripted_pool(echo, echo, lambda p: "1: #query" if "<data>" in p else "answer: z"))
    rows = graph.invoke({"query": "q"})["attempts"]
    assert [(a["role"], a["model"]) for a in rows] == [("decomposer", "m3"), ("evaluator", "m1"), ("executor", "m1")]


def test_the_drawing_shows_both_directions_and_the_replan(make: Any) -> None:
    made = make(echo)
    flat, deep = made.graph.get_graph().draw_mermaid(), made.graph.get_graph(xray=True).draw_mermaid()
    for node in ("decompose", "allocate", "execute_plan", "aggregate"):
        assert node in flat
    for node in ("execute_subtask", "reallocate_upward", "reallocate_downward", "replan"):
        assert node in deep
        assert node not in flat


def test_the_graph_has_a_name(make: Any) -> None:
    assert make(echo).graph.name == "r2"
    assert make(echo, name="mine").graph.name == "mine"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"aggregation": "vote"}, BadValueError, "aggregation is 'vote'; allowed: last, join, llm"),
        ({"floor": "m9"}, UnknownModelError, "m9"),
        ({"aggregator": "m9"}, UnknownModelError, "m9"),
    ],
)
def test_options_are_checked(make: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(echo, **options)
    with pytest.raises(BadValueError, match=r"pool\.toml"):
        create_r2_graph("pool.toml", decomposer=NoDecomposer())  # type: ignore[arg-type]
