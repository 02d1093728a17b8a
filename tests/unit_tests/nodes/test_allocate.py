"""What the graph makes of an allocator's word: checked, and replaced where it cannot be followed."""

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_r2 import ModelSpec, Price, R2Context
from langchain_r2.errors import BudgetError
from langchain_r2.nodes.allocate import checked
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.types import Allocation, Plan, Subtask

POOL = scripted_pool(["x"], ["x"], ["x"])
PLAN = Plan(subtasks=[Subtask(id=i, text=i, depends_on=[]) for i in "12"], parse="clean", confidence=None, rejected=[])


@pytest.mark.parametrize(
    ("models", "expected", "reasons", "note"),
    [
        pytest.param({"1": "m1", "2": "m3"}, ["m1", "m3"], ["allocated", "allocated"], None, id="fine"),
        pytest.param({"1": "m1"}, ["m1", "m2"], ["allocated", "default_route"], "not_allocated: 2", id="missing"),
        pytest.param(
            {"1": "gone", "2": "m3"},
            ["m2", "m3"],
            ["default_route", "allocated"],
            "unknown_model: 'gone'",
            id="unknown",
        ),
        pytest.param({}, ["m2", "m2"], ["default_route"] * 2, "not_allocated: 1", id="nothing"),
    ],
)
def test_what_cannot_be_followed_takes_the_default_route(
    models: dict[str, str], expected: list[str], reasons: list[str], note: str | None
) -> None:
    given = Allocation(models=dict(models), reasons=dict.fromkeys(models, "allocated"), note=None)
    made = checked(given, PLAN, POOL)
    assert made == {
        "models": dict(zip("12", expected, strict=True)),
        "reasons": dict(zip("12", reasons, strict=True)),
        "note": note,
    }
    assert given["models"] == models


def test_the_first_note_stays() -> None:
    given = Allocation(models={"1": "gone", "2": "m1"}, reasons={}, note="said before")
    assert checked(given, PLAN, POOL)["note"] == "said before"


def test_a_run_survives_an_allocator_of_the_users_that_names_a_model_the_pool_does_not_have(
    make: Any, says: Any, tries: Any
) -> None:
    def allocate(value: Any) -> Any:
        return {"allocation": {"models": {"1": "gone"}, "reasons": {"1": "allocated"}, "note": None}, "attempts": []}

    output = make(says("a"), says("b"), says("c"), allocator=RunnableLambda(allocate)).graph.invoke({"query": "q"})
    assert tries(output) == [("1", "m2", "initial", "default_route")]
    assert output["status"] == "ok"


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_run_survives_an_allocator_that_cannot_be_paid(make: Any, says: Any, how: str) -> None:
    spec = ModelSpec(name="dear", model=ScriptedChatModel(script=["1: a"]), price=Price(input=1e5, output=1e5))
    allocator = PromptedAllocator(spec, POOL)
    with pytest.raises(BudgetError):
        allocator.invoke({"query": "q", "plan": PLAN, "budget_usd": 0.01})
    graph = make(says("a"), says("b"), says("c"), allocator=allocator).graph
    value, context = {"query": "q"}, R2Context(budget_usd=0.01)
    output = await graph.ainvoke(value, context=context) if how == "async" else graph.invoke(value, context=context)
    assert output["allocation"] == {"models": {"1": "m2"}, "reasons": {"1": "default_route"}, "note": "budget"}
    assert (output["status"], output["answer"]) == ("ok", "b")


def test_an_allocator_is_billed_and_told_what_is_left(make: Any, says: Any) -> None:
    left: list[float] = []

    def allocate(value: Any) -> Any:
        left.append(value["budget_usd"])
        allocation = {"models": {"1": "m1"}, "reasons": {"1": "allocated"}, "note": None}
        return {"allocation": allocation, "attempts": []}

    output = make(says("a"), allocator=RunnableLambda(allocate)).graph.invoke(
        {"query": "q"}, context=R2Context(budget_usd=0.01)
    )
    decomposing = output["attempts"][0]["cost_usd"]
    assert decomposing > 0
    assert left == [pytest.approx(0.01 - decomposing)]
