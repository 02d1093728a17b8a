"""What a plan is going to cost: the expected cost is between the bounds, and no run passes the upper one."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_r2 import FREE, ModelPool, ModelSpec, Price, R2Context, create_r2_graph, resume
from langchain_r2.confidence import Confidence
from langchain_r2.embedded import embedded_router
from langchain_r2.estimate import Estimator, max_cost
from langchain_r2.executors import per_call, tool_executor
from langchain_r2.ledger import bill
from langchain_r2.parsing import parse_plan
from langchain_r2.routers.base import AllocatorOutput, uniform_allocation
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer, RandomAllocator, cheapest
from langchain_r2.routers.bounds import executed_worst_usd, most_subtasks, router_worst_usd
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.pinned import PinnedAllocator
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport
from langchain_r2.types import Allocation, CostEstimate, Plan

DIAMOND = "1: add 1 and 2\n2: add 3 and #1\n3: add 4 and #1\n4: add #2 and #3"


def plan_of(text: str) -> Plan:
    return Plan(subtasks=parse_plan(text, max_subtasks=99).subtasks, parse="clean", confidence=None, rejected=[])


def estimate(pool: ModelPool, text: str = DIAMOND, *, model: str = "m1", **changes: Any) -> CostEstimate:
    options: dict[str, Any] = {
        "decomposer": NoDecomposer(),
        "allocator": cheapest(pool),
        "confidence": Confidence(),
        "max_tries": 1,
        "limits": R2Context(),
    }
    more = {k: changes.pop(k) for k in ("kept", "left_usd", "turn") if k in changes}
    plan = plan_of(text)
    return Estimator(pool=pool, **{**options, **changes}).plan(
        "the query", plan, uniform_allocation(plan, model, "allocated"), **more
    )


def worst(pool: ModelPool, **changes: Any) -> float:
    found = estimate(pool, **changes)["worst_usd"]
    assert found is not None
    return found


def test_the_three_are_in_order_and_each_has_its_reason() -> None:
    pool = scripted_pool("x", "x", "x", max_output_tokens=100)
    found = estimate(pool, model="m2")
    assert found["min_usd"] is not None
    assert found["expected_usd"] is not None
    assert 0 < found["min_usd"] < found["expected_usd"] < worst(pool, model="m2")
    assert found["min_usd"] < (estimate(pool, model="m2", limits=R2Context(reallocate_downward=False))["min_usd"] or 0)


def test_what_a_limit_forbids_is_not_in_the_worst_case() -> None:
    pool = scripted_pool("x", "x", "x", max_output_tokens=100)
    router = PromptedDecomposer(pool["m1"], max_subtasks=4)
    whole = worst(pool, decomposer=router)
    smaller = [
        worst(pool, decomposer=router, limits=R2Context(max_replans=0)),
        worst(pool, decomposer=router, limits=R2Context(max_replans=0, max_attempts=2)),
        worst(pool, decomposer=router, limits=R2Context(max_replans=0, reallocate_upward=False)),
    ]
    assert sorted([whole, *smaller], reverse=True) == [whole, *smaller]
    assert len({whole, *smaller}) == 4
    assert worst(pool, decomposer=NoDecomposer()) == smaller[0]
    assert worst(pool, max_tries=3) == pytest.approx(3 * smaller[0])
    assert worst(pool, confidence=Confidence(samples=2)) == pytest.approx(3 * smaller[0])
    assert worst(pool, confidence=Confidence(verifier="m3")) > smaller[0]
    assert worst(pool, aggregator="m3") > smaller[0]
    assert worst(pool, kept=["1"]) < smaller[0]
    assert worst(pool, turn={"messages": ["x" * 1000]}) > smaller[0]
    assert worst(pool, left_usd=1e-6) == 1e-6


def test_no_estimate_is_above_what_is_left() -> None:
    pool = scripted_pool("x", "x")
    assert estimate(pool, left_usd=0.0) == {"min_usd": 0.0, "expected_usd": 0.0, "worst_usd": 0.0}


def test_an_unknown_price_makes_an_unknown_cost_and_a_budget_bounds_it() -> None:
    def spec(name: str, usd: float | None) -> ModelSpec:
        return ModelSpec(name=name, model=ScriptedChatModel(script="x"), price=Price(input=usd, output=usd))

    pool = ModelPool([spec("m1", 1.0), spec("m2", None)])
    assert estimate(pool, model="m2") == {"min_usd": None, "expected_usd": None, "worst_usd": None}
    assert estimate(pool)["worst_usd"] is None  # a step up leads to it
    assert estimate(pool)["expected_usd"] is not None
    assert estimate(pool, left_usd=0.5)["worst_usd"] == 0.5
    assert estimate(pool, limits=R2Context(reallocate_upward=False))["worst_usd"] is not None


def test_the_rounds_of_a_model_with_tools_are_in_its_worst_case() -> None:
    @tool
    def look(text: str) -> str:
        """Look something up."""
        return text

    def most(price: Price, rounds: int) -> float | None:
        found = tool_executor(look, price=price)
        model = ScriptedChatModel(script="x")
        capable = frozenset({"tools"})
        spec = ModelSpec(
            name="m1",
            model=model,
            price=Price(input=1.0, output=1.0),
            tools=(found,),
            max_tool_rounds=rounds,
            capabilities=capable,
        )
        return executed_worst_usd(spec, 10, Confidence(), ModelPool([spec]), 1)

    free, priced = most(FREE, 2), most(per_call(0.01), 2)
    assert free is not None
    assert priced is not None
    assert free == pytest.approx(3 * (8192 + 1024) / 1e6)
    assert priced > free + 2 * 0.01
    assert most(Price(input=None, output=None), 2) is None


def test_free_models_cost_nothing() -> None:
    pool = ModelPool([ModelSpec(name="m1", model=ScriptedChatModel(script="x"), price=FREE)])
    assert estimate(pool) == {"min_usd": 0.0, "expected_usd": 0.0, "worst_usd": 0.0}


def test_what_asking_a_router_costs_at_most() -> None:
    pool = scripted_pool("x", "x", max_output_tokens=10)
    transport = Transport(max_tries=2)
    prompted = PromptedDecomposer(pool["m1"], max_samples=3, max_subtasks=7, transport=transport)
    allocator = PromptedAllocator(pool["m1"], pool, transport=transport)
    calibrated = CalibratedAllocator(pool, transport=transport)
    for router in (prompted, allocator, calibrated):
        small, more = (router_worst_usd(router, tokens, 2) for tokens in (10, 1000))
        assert small is not None
        assert more is not None
        assert 0 < small < more
    once = router_worst_usd(PromptedDecomposer(pool["m1"], max_samples=1, transport=Transport(max_tries=1)), 10, 2)
    assert router_worst_usd(prompted, 10, 2) == pytest.approx(6 * (once or 0), rel=0.01)
    assert router_worst_usd(calibrated, 10, 4) == pytest.approx(2 * (router_worst_usd(calibrated, 10, 2) or 0))
    assert router_worst_usd(PinnedAllocator(pool, {}, otherwise=calibrated), 10, 2) == router_worst_usd(
        calibrated, 10, 2
    )
    for free in (NoDecomposer(), FixedAllocator(pool, "m1"), RandomAllocator(pool)):
        assert router_worst_usd(free, 10, 2) == 0.0

    class Own:
        def worst_usd(self, tokens: int, subtasks: int) -> float:
            return tokens * subtasks / 1000

    assert router_worst_usd(Own(), 10, 2) == 0.02
    assert router_worst_usd(object(), 10, 2) is None
    assert [most_subtasks(r) for r in (NoDecomposer(), prompted, object())] == [0, 7, None]
    assert max_cost([1.0, None]) is None


class Spread(RunnableLambda[Any, Any]):
    """An allocator that asks nobody, and says so."""

    def worst_usd(self, tokens: int, subtasks: int) -> float:
        del tokens, subtasks
        return 0.0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_no_run_passes_the_worst_case_whatever_the_models_say(make: Any, seed: int) -> None:
    """Models fail, are unsure, write as much as they may; subtasks climb and are decomposed in turn."""
    rng, longest = random.Random(seed), 12

    def script(prompt: str) -> Any:
        kind = rng.choice(["sure", "unsure", "long", "broken", "down", "cut"])
        if kind in {"broken", "down"}:
            return ValueError("broken") if kind == "broken" else ConnectionError("down")
        words = " ".join(["word"] * (longest - 1)) if kind in {"long", "unsure"} else "x"
        finish = "length" if kind == "cut" else "stop"
        return scripted_message(f"answer: {words}", prompt, 0.95 if kind in {"sure", "long"} else 0.1, finish)

    def spread(value: Any) -> Any:
        models = {s["id"]: rng.choice(["m1", "m2", "m3"]) for s in value["plan"]["subtasks"]}
        allocation = Allocation(models=models, reasons=dict.fromkeys(models, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=[])

    made = make(
        script,
        script,
        script,
        prices=rng.sample([0.5, 3.0, 20.0], 3),
        settings={"max_output_tokens": longest},
        plan=rng.choice(["1: #query", "1: a\n2: b #1", DIAMOND]),
        replans={"": "1: left\n2: right #1"},
        max_subtasks=4,
        allocator=Spread(spread),
        confidence=rng.choice([Confidence(), Confidence(samples=2), Confidence(verifier="m2")]),
        aggregation=rng.choice(["last", "llm"]),
        checkpointer=InMemorySaver(),
    )
    limits = R2Context(
        approve_plan=True,
        budget_usd=1000.0,  # far away; with one, what came broken is charged at its bound instead of as unknown
        max_attempts=rng.randint(1, 3),
        max_replans=rng.randint(0, 1),
        reallocate_upward=rng.random() < 0.7,
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    asked = made.graph.invoke({"query": "a question"}, thread, context=limits)["__interrupt__"][0].value
    output = resume(made.graph, "1", decisions="approve")
    spent, found = bill(output["attempts"]).cost_usd, asked["estimate"]
    assert spent is not None
    assert found["min_usd"] <= found["expected_usd"] <= found["worst_usd"]
    assert spent - asked["spent_usd"] <= found["worst_usd"] * (1 + 1e-9)


def test_a_real_run_is_between_the_bounds() -> None:
    """On the embedded pool; what it cost is of the size that was expected."""
    graph = create_r2_graph(**embedded_router(), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    query = "tom buys 12 boxes of 34 pens and loses 5 . how many pens does tom have now ?"
    asked = graph.invoke({"query": query}, thread, context=R2Context(approve_plan=True))["__interrupt__"][0].value
    spent = bill(resume(graph, "1", decisions="approve")["attempts"]).cost_usd
    assert spent is not None
    paid, found = spent - asked["spent_usd"], asked["estimate"]
    assert found["min_usd"] <= paid <= found["worst_usd"]
    assert found["expected_usd"] / 5 <= paid <= found["expected_usd"] * 5
