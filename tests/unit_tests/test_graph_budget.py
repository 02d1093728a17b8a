"""The hard limit of a run, and the deadline of its calls."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_r2 import FREE, ModelPool, ModelSpec, Price, R2Context, create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import NoDecomposer, RandomAllocator, cheapest
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport


def careless(seed: int) -> Any:
    """A script of random length and confidence that sometimes fails in every way; never longer than 20 tokens."""

    def reply(prompt: str) -> Any:
        rng = random.Random(f"{seed}/{prompt}")
        chance = rng.random()
        if chance < 0.1:
            return ConnectionError("down")
        if chance < 0.2:
            return ValueError("broken")
        finish = "length" if chance < 0.3 else "stop"
        return scripted_message("answer: " + "w " * rng.randint(0, 19), prompt, rng.random(), finish)

    return reply


def any_plan(seed: int) -> Any:
    def reply(prompt: str) -> str:
        rng = random.Random(f"{seed}/{prompt}")
        lines = []
        for number in range(1, rng.randint(1, 6) + 1):
            needs = " ".join(f"#{n}" for n in range(1, number) if rng.random() < 0.4)
            lines.append(f"{number}: part {rng.randint(0, 99)} {needs}".strip())
        return "\n".join(lines)

    return reply


def graph_of(seed: int, aggregation: Any = "last", calibrated: bool = False) -> Any:
    pool = scripted_pool(*[careless(seed + i) for i in range(3)], max_output_tokens=20)
    transport = Transport(max_tries=2, first_delay_s=0.0)
    spec = ModelSpec(
        name="r",
        model=ScriptedChatModel(script=any_plan(seed)),
        price=Price(input=0.1, output=0.1),
        max_output_tokens=40,
    )
    allocator = CalibratedAllocator(pool, transport=transport) if calibrated else RandomAllocator(pool, seed=seed)
    decomposer = PromptedDecomposer(spec, transport=transport)
    return create_r2_graph(
        pool, decomposer=decomposer, allocator=allocator, transport=transport, aggregation=aggregation
    )


@given(
    seed=st.integers(0, 10**6),
    micro_usd=st.floats(1, 5000),
    aggregation=st.sampled_from(["last", "join", "llm"]),
    calibrated=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_budget_is_never_passed(seed: int, micro_usd: float, aggregation: str, calibrated: bool) -> None:
    limit = micro_usd * 1e-6
    output = graph_of(seed, aggregation, calibrated).invoke({"query": "q"}, context=R2Context(budget_usd=limit))
    spent = bill(output["attempts"]).cost_usd
    assert spent is not None
    assert spent <= limit * (1 + 1e-9)
    assert output["status"] in {"ok", "best_effort", "budget_exhausted", "error"}
    assert (output["answer"] is None) <= (output["status"] in {"budget_exhausted", "error"})


@pytest.mark.parametrize("seed", range(6))
async def test_the_budget_is_never_passed_on_the_event_loop(seed: int) -> None:
    for limit in (2e-5, 1e-4, 1e-3):
        output = await graph_of(seed, "llm").ainvoke({"query": "q"}, context=R2Context(budget_usd=limit))
        spent = bill(output["attempts"]).cost_usd
        assert spent is not None
        assert spent <= limit * (1 + 1e-9)


def test_a_budget_too_small_for_anything_makes_no_call(make: Any, says: Any) -> None:
    made = make(says("a"), says("b"))
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=1e-9))
    assert (output["status"], output["answer"], output["attempts"]) == ("budget_exhausted", None, [])
    assert made.router.call_history == made.calls("m1") == []
    assert output["plan"]["rejected"] == ["budget"]
    assert "1: budget" in output["error"]


def test_without_money_to_climb_the_best_answer_is_kept(make: Any, says: Any, tries: Any) -> None:
    made = make(says("a", 0.2), says("b"), prices=(1.0, 1e5), router_price=0.0)
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=0.01, max_replans=0))
    assert [t[1] for t in tries(output)] == ["m1"]
    assert (output["status"], output["answer"]) == ("budget_exhausted", "a")
    assert output["results"][0]["verdict"] == {"accepted": False, "reason": "budget"}


def test_without_money_for_the_allocator_everything_takes_the_default_route(says: Any) -> None:
    pool = scripted_pool(says("a"), says("b"), says("c"), prices=(1.0, 1.0, 1.0), max_output_tokens=10)
    broke = CalibratedAllocator(scripted_pool(*[["x"]] * 3, prices=(1e5, 1e5, 1e5)))
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=broke)
    output = graph.invoke({"query": "q"}, context=R2Context(budget_usd=0.01))
    assert output["allocation"]["note"] == "budget"
    assert (output["allocation"]["models"], output["answer"]) == ({"1": "m2"}, "b")


def test_money_for_all_but_the_aggregator_keeps_the_last_answer(make: Any, says: Any) -> None:
    made = make(says("a"), says("b"), plan="1: x\n2: y", prices=(1.0, 1e5), aggregation="llm", aggregator="m2")
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=0.01))
    assert (output["status"], output["answer"]) == ("budget_exhausted", "a")
    assert made.calls("m2") == []


def test_an_unknown_price_is_never_paid_from_a_limited_budget(says: Any) -> None:
    model = ScriptedChatModel(script=says("a"))
    pool = ModelPool([ModelSpec(name="m1", model=model, price=Price(input=None, output=None))])
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool))
    assert graph.invoke({"query": "q"}, context=R2Context(budget_usd=1e6))["status"] == "budget_exhausted"
    assert model.call_history == []
    free_run = graph.invoke({"query": "q"})
    assert (free_run["status"], bill(free_run["attempts"]).cost_usd) == ("ok", None)


def test_a_free_call_without_usage_leaves_the_budget_as_it_was() -> None:
    from langchain_core.messages import AIMessage

    free = ModelSpec(name="m1", model=ScriptedChatModel(script=[AIMessage("answer: a")]), price=FREE)
    dear = ModelSpec(name="m2", model=ScriptedChatModel(script=["answer: b"]), price=Price(input=1.0, output=1.0))
    pool = ModelPool([free, dear])
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=CalibratedAllocator(pool, default_route="m2"))
    output = graph.invoke({"query": "q"}, context=R2Context(budget_usd=1.0))
    assert (output["status"], output["answer"]) == ("ok", "b")


def test_a_deadline_ends_a_subtasks_call(make: Any, says: Any, tries: Any) -> None:
    import threading

    release = threading.Event()
    made = make(lambda prompt: release.wait(60) and "answer: late", says("b"))
    output = made.graph.invoke({"query": "q"}, context=R2Context(deadline_s=0.2, max_replans=0))
    release.set()
    assert tries(output) == [("1", "m1", "initial", "allocated"), ("1", "m2", "upward", "unreachable")]
    assert output["answer"] == "b"


def test_a_deadline_ends_a_call_of_the_router(says: Any) -> None:
    import threading

    release = threading.Event()
    pool = scripted_pool(says("b"))
    stuck = ScriptedChatModel(script=lambda prompt: release.wait(5) and "1: late")
    spec = ModelSpec(name="r", model=stuck, price=FREE)
    graph = create_r2_graph(pool, decomposer=PromptedDecomposer(spec, max_samples=1), allocator=cheapest(pool))
    output = graph.invoke({"query": "q"}, context=R2Context(deadline_s=0.2))
    release.set()
    assert output["plan"]["rejected"] == ["call_failed: DeadlineError"]


@pytest.mark.parametrize(
    "limits",
    [
        {"budget_usd": 0},
        {"budget_usd": -1.0},
        {"budget_usd": True},
        {"budget_usd": "1"},
        {"budget_usd": float("nan")},
        {"deadline_s": 0},
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"max_replans": -1},
        {"max_replans": True},
        {"threshold": 1.1},
        {"threshold": -0.1},
        {"threshold": "0.5"},
    ],
    ids=str,
)
def test_limits_are_checked(limits: dict[str, Any]) -> None:
    from langchain_r2.errors import BadValueError

    with pytest.raises(BadValueError, match=next(iter(limits))):
        R2Context(**limits)


@pytest.mark.parametrize("context", [{"max_attempts": 1}, R2Context(max_attempts=1)], ids=["dict", "object"])
def test_limits_may_come_as_a_dict(make: Any, says: Any, tries: Any, context: Any) -> None:
    output = make(says("a", 0.1), says("b")).graph.invoke({"query": "q"}, context=context)
    assert len(tries(output)) == 1
