"""Replanning: a subtask that is too hard for its model is decomposed in turn."""

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from langchain_r2 import ModelSpec, Price, R2Context
from langchain_r2.prompts import prompts_for
from langchain_r2.records import NAMESPACE
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import worst_usd

STEEP = (1.0, 1000.0)
"""A step up costs far more than a plan of the subtask."""
HARD = {"plan": "1: easy\n2: hard #1", "replans": {"hard": "1: part a\n2: part b of #1"}, "prices": STEEP}


def unless_hard(prompt: str) -> Any:
    """Sure of everything but of the hard subtask."""
    text = prompt.rsplit("Your subtask: ", 1)[-1].replace("<data>", "").replace("</data>", "")
    return scripted_message(f"answer: did {text.split(' #')[0]}", prompt, 0.1 if text.startswith("hard") else 1.0)


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Any:
    """Invoke a graph in both ways."""

    async def call(graph: Any, value: Any, **options: Any) -> Any:
        return await graph.ainvoke(value, **options) if request.param == "async" else graph.invoke(value, **options)

    return call


async def test_the_sub_plan_runs_in_the_subtasks_place(make: Any, tries: Any, run: Any) -> None:
    made = make(unless_hard, unless_hard, **HARD)
    output = await run(made.graph, {"query": "q"})
    assert tries(output) == [
        ("1", "m1", "initial", "allocated"),
        ("2", "m1", "initial", "allocated"),
        ("2.1", "m1", "replan", "allocated"),
        ("2.2", "m1", "replan", "allocated"),
    ]
    result = output["results"][1]
    assert [p["text"] for p in result["parts"]] == ["part a", "part b of #1"]
    assert result["verdict"] == {"accepted": True, "reason": "confident"}
    assert (output["status"], output["answer"]) == ("ok", "did part b of did part a")


async def test_where_answers_are_joined_those_of_a_sub_plan_are_too(make: Any, run: Any) -> None:
    made = make(unless_hard, unless_hard, **{**HARD, "replans": {"hard": "1: part a\n2: part b"}}, aggregation="join")
    output = await run(made.graph, {"query": "q"})
    assert output["answer"] == "did easy\ndid part a\ndid part b"


async def test_a_replan_is_billed(make: Any, run: Any) -> None:
    output = await run(make(unless_hard, unless_hard, **HARD).graph, {"query": "q"})
    routing = [(a["role"], a["subtask_id"], a["direction"]) for a in output["attempts"] if a["role"] != "executor"]
    assert routing == [("decomposer", None, "initial"), ("decomposer", "2", "replan")]
    assert all(a["cost_usd"] for a in output["attempts"])


@pytest.mark.parametrize(("probability", "direction"), [(0.3, "replan"), (0.1, "upward"), (0.05, "upward")])
async def test_a_sub_plan_has_to_be_likelier_right_than_the_answer_at_hand(
    make: Any, run: Any, probability: float, direction: str
) -> None:
    """The hard subtask's own answer is 0.1 likely."""
    made = make(unless_hard, "answer: done", plan=HARD["plan"], prices=STEEP)

    def sub_plan(prompt: str) -> Any:
        if "<data>hard" not in prompt:
            return str(HARD["plan"])
        return scripted_message("1: part a\n2: part b of #1", prompt, probability)

    made.router.script = sub_plan
    output = await run(made.graph, {"query": "q"})
    last = [a for a in output["attempts"] if a["role"] == "executor"][-1]
    assert last["direction"] == direction
    assert bool(output["results"][1]["parts"]) == (direction == "replan")


async def test_a_subtask_that_cannot_be_split_climbs(make: Any, tries: Any, run: Any) -> None:
    made = make(
        unless_hard, lambda p: scripted_message("answer: strong", p), **{**HARD, "replans": {"hard": "1: #query"}}
    )
    output = await run(made.graph, {"query": "q"})
    assert [t[:2] for t in tries(output, "2")] == [("2", "m1"), ("2", "m2")]
    assert len([a for a in output["attempts"] if a["role"] == "decomposer"]) == 2
    assert (output["answer"], output["results"][1]["parts"]) == ("strong", [])


async def test_a_subtask_that_cannot_be_split_at_the_top_keeps_its_best(make: Any, says: Any, run: Any) -> None:
    output = await run(make(says("a", 0.1), says("b", 0.2)).graph, {"query": "q"})
    assert len([a for a in output["attempts"] if a["role"] == "decomposer"]) == 2
    assert output["results"][0]["verdict"] == {"accepted": False, "reason": "top_of_pool"}
    assert output["answer"] == "b"


async def test_replanning_can_be_switched_off(make: Any, tries: Any, run: Any) -> None:
    made = make(unless_hard, lambda p: scripted_message("answer: strong", p), **HARD)
    output = await run(made.graph, {"query": "q"}, context=R2Context(max_replans=0))
    assert [t[1:] for t in tries(output, "2")] == [("m1", "initial", "allocated"), ("m2", "upward", "low_confidence")]
    assert len(made.router.call_history) == 1


@pytest.mark.parametrize(("depth", "deepest"), [(1, "2.2"), (2, "2.2.2"), (3, "2.2.2.2")])
def test_replans_go_as_deep_as_allowed(make: Any, tries: Any, depth: int, deepest: str) -> None:
    made = make(unless_hard, unless_hard, **{**HARD, "replans": {"hard": "1: part a\n2: hard #1"}})
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_replans=depth))
    ids = [t[0] for t in tries(output)]
    assert max(ids, key=lambda i: (len(i), i)) == deepest
    assert output["status"] == "best_effort"


def test_a_cheaper_step_up_is_taken_instead(make: Any, tries: Any) -> None:
    made = make(unless_hard, lambda p: scripted_message("answer: strong", p), **{**HARD, "prices": (1.0, 1.1)})
    assert [t[1] for t in tries(made.graph.invoke({"query": "q"}), "2")] == ["m1", "m2"]


async def test_independent_parts_and_their_join(make: Any, tries: Any, run: Any) -> None:
    made = make(unless_hard, unless_hard, **{**HARD, "replans": {"hard": "1: left\n2: right\n3: join #1 and #2"}})
    output = await run(made.graph, {"query": "q"})
    assert [t[0] for t in tries(output)] == ["1", "2", "2.1", "2.2", "2.3"]
    assert any("join <data>did left</data> and <data>did right</data>" in c for c in made.calls("m1"))


async def test_a_part_that_fails_makes_the_subtask_not_accepted(make: Any, run: Any) -> None:
    made = make(
        unless_hard,
        lambda p: scripted_message("answer: weak", p, 0.2),
        **{**HARD, "replans": {"hard": "1: hard still\n2: part b"}},
    )
    output = await run(made.graph, {"query": "q"})
    assert output["results"][1]["verdict"]["accepted"] is False
    assert output["status"] == "best_effort"


def test_the_sub_plan_knows_the_answers_that_the_subtask_was_given(make: Any) -> None:
    """Subtask 2 needs the answer of 1 without referring to it; what replaces it needs it as well."""
    made = make(unless_hard, unless_hard, **{**HARD, "plan": "1: easy\n2: hard (needs 1)"})
    made.graph.invoke({"query": "q"})
    asked = str(made.router.call_history[-1][-1].text)
    parts = [c for c in made.calls("m1") if "part a" in c]
    assert "did easy" in asked or "did easy" in parts[0]


def test_a_part_is_no_record_of_the_whole(make: Any) -> None:
    """The parts are of other kinds; only the tries of the subtask itself tell how a model does on its kind."""
    store = InMemoryStore()
    made = make(unless_hard, unless_hard, store=store, **{**HARD, "plan": "1: hard"})
    made.graph.invoke({"query": "q"})
    item = store.get(NAMESPACE, "m1\thard")
    assert item is not None
    assert (item.value["tries"], item.value["accepted"]) == (1, 0)


def test_routing_of_a_replan_is_told_from_that_of_the_query(make: Any) -> None:
    pool = make(unless_hard, unless_hard, **HARD).pool
    made = make(unless_hard, unless_hard, allocator=CalibratedAllocator(pool), **HARD)
    attempts = made.graph.invoke({"query": "q"})["attempts"]
    judged = [a["subtask_id"] for a in attempts if a["role"] == "evaluator"]
    assert len(judged) == len(set(judged)) == 4


def test_both_routings_are_billed(make: Any) -> None:
    pool = make(unless_hard, unless_hard, **HARD).pool
    made = make(unless_hard, unless_hard, allocator=CalibratedAllocator(pool), **HARD)
    attempts = made.graph.invoke({"query": "q"})["attempts"]
    assert len([a for a in attempts if a["role"] == "evaluator"]) == 4


async def test_a_replan_works_with_a_checkpointer(make: Any, tries: Any, run: Any) -> None:
    made = make(
        unless_hard,
        unless_hard,
        checkpointer=InMemorySaver(),
        **{**HARD, "replans": {"hard": "1: left\n2: right\n3: both #1 #2"}},
    )
    output = await run(made.graph, {"query": "q"}, config={"configurable": {"thread_id": "1"}})
    assert [t[0] for t in tries(output)] == ["1", "2", "2.1", "2.2", "2.3"]


def test_a_replan_stays_within_the_budget(make: Any) -> None:
    made = make(unless_hard, unless_hard, settings={"max_output_tokens": 8}, **HARD)
    statuses = set()
    for micro in (100, 300, 1000, 1500, 2000, 3000, 5000, 20_000):
        output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=micro * 1e-6))
        assert sum(a["cost_usd"] for a in output["attempts"]) <= micro * 1e-6
        statuses.add(output["status"])
    assert statuses == {"ok", "budget_exhausted"}


async def test_a_replan_waits_for_money_that_a_sibling_holds(make: Any) -> None:
    """The sibling's worst case leaves too little for the decomposer; its real cost does not."""
    hard_done = asyncio.Event()

    class Sibling(ScriptedChatModel):
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            text = str(messages[-1].text)
            if text.endswith("slow"):
                await hard_done.wait()
                await asyncio.sleep(0.2)
            made = await super()._agenerate(messages, *args, **kwargs)
            if text.endswith("hard"):
                hard_done.set()
            return made

    sibling = Sibling(script=unless_hard)
    made = make(sibling, unless_hard, settings={"max_output_tokens": 500}, **{**HARD, "plan": "1: slow\n2: hard"})
    router = ModelSpec(name="r", model=sibling, price=Price(input=1.0, output=1.0))
    prompts = prompts_for("instruct")
    decomposing = worst_usd(router, prompts.decompose("hard", max_subtasks=1000)) or 0.0
    slow = worst_usd(made.pool["m1"], prompts.subtask("slow", query="q", known={})) or 0.0
    context = R2Context(budget_usd=decomposing + slow / 2)
    output = await made.graph.ainvoke({"query": "q"}, context=context)
    assert [r["verdict"]["accepted"] for r in output["results"]] == [True, True]
