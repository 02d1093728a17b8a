"""Routers that decide without looking, and what all routers share as runnables."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable

from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer, RandomAllocator, cheapest, strongest
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.types import Plan, Subtask

PLAN = Plan(
    subtasks=[Subtask(id=str(i), text=f"part {i}", depends_on=[]) for i in range(1, 31)],
    parse="clean", confidence=None, rejected=[],
)  # fmt: skip
POOL = scripted_pool(["x"], ["x"], ["x"])


def test_no_decomposer_gives_the_query_itself() -> None:
    output = NoDecomposer().invoke({"query": "how many #1?"})
    assert output["plan"]["subtasks"] == [{"id": "1", "text": "how many #1?", "depends_on": []}]
    assert (output["attempts"], output["plan"]["rejected"]) == ([], [])
    with pytest.raises(BadValueError, match="query"):
        NoDecomposer().invoke({"query": " "})


@pytest.mark.parametrize(
    ("make", "model"),
    [(cheapest, "m1"), (strongest, "m3"), (lambda p: FixedAllocator(p, "m2"), "m2")],
    ids=["first", "last", "m2"],
)
def test_fixed_allocators_give_everything_to_one_model(make: Callable[..., FixedAllocator], model: str) -> None:
    output = make(POOL).invoke({"query": "q", "plan": PLAN})
    assert output["allocation"]["models"] == dict.fromkeys(map(str, range(1, 31)), model)
    assert set(output["allocation"]["reasons"].values()) == {"allocated"}
    assert output["attempts"] == []


def test_a_fixed_allocator_wants_a_model_of_the_pool() -> None:
    with pytest.raises(UnknownModelError, match="m9"):
        FixedAllocator(POOL, "m9")


def test_a_random_allocator_draws_by_seed_and_query() -> None:
    def drawn(seed: int, query: str) -> dict[str, str]:
        return RandomAllocator(POOL, seed=seed).invoke({"query": query, "plan": PLAN})["allocation"]["models"]

    assert drawn(0, "q") == drawn(0, "q")
    assert drawn(0, "q") != drawn(1, "q")
    assert drawn(0, "q") != drawn(0, "p")
    assert set(drawn(0, "q").values()) == {"m1", "m2", "m3"}


def scripted_spec(script: Any) -> ModelSpec:
    return ModelSpec(name="r", model=ScriptedChatModel(script=script), price=Price(input=1, output=1))


def plan_for(prompt: str) -> str:
    return f"1: first of {len(prompt)}\n2: then #1"


def route_for(prompt: str) -> str:
    return "\n".join(f"{i}: {'acd'[len(prompt) % 3]}" for i in range(1, 31))


ROUTERS: list[Any] = [
    pytest.param(lambda: PromptedDecomposer(scripted_spec(plan_for)), {}, "decomposer:r", id="prompted-decomposer"),
    pytest.param(
        lambda: PromptedAllocator(scripted_spec(route_for), POOL),
        {"plan": PLAN},
        "allocator:r",
        id="prompted-allocator",
    ),
    pytest.param(lambda: CalibratedAllocator(POOL), {"plan": PLAN}, "evaluator:m1", id="calibrated"),
    pytest.param(lambda: RandomAllocator(POOL), {"plan": PLAN}, None, id="random"),
    pytest.param(lambda: cheapest(POOL), {"plan": PLAN}, None, id="fixed"),
    pytest.param(NoDecomposer, {}, None, id="no-decomposer"),
]
Make = Callable[[], Runnable[Any, Any]]


def timeless(output: Any) -> Any:
    for row in output["attempts"]:
        row["wall_s"] = row["started_at"] = 0.0
    return output


@pytest.mark.parametrize(("make", "more", "run_name"), ROUTERS)
async def test_all_ways_to_call_a_router_give_the_same(make: Make, more: dict[str, Any], run_name: str | None) -> None:
    inputs = [{"query": "q" * n, **more} for n in (1, 2, 3)]
    expected = [timeless(make().invoke(i)) for i in inputs]
    assert [timeless(await make().ainvoke(i)) for i in inputs] == expected
    assert [timeless(o) for o in make().batch(inputs)] == expected
    assert [timeless(o) for o in await make().abatch(inputs)] == expected


class Seen(BaseCallbackHandler):
    """Notes every run: its name, its tags, its parent."""

    def __init__(self) -> None:
        self.chains: list[Any] = []
        self.models: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.chains.append(kwargs)

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.models.append(kwargs)


@pytest.mark.parametrize(("make", "more", "run_name"), ROUTERS)
@pytest.mark.parametrize("how", ["sync", "async"])
async def test_configuration_is_passed_on(make: Make, more: dict[str, Any], run_name: str | None, how: str) -> None:
    seen = Seen()
    config: Any = {"callbacks": [seen], "tags": ["mine"], "run_name": "outer", "metadata": {"tenant": "t1"}}
    value = {"query": "q", **more}
    await make().ainvoke(value, config) if how == "async" else make().invoke(value, config)
    (outer,) = seen.chains
    assert (outer["name"], outer["tags"]) == ("outer", ["mine"])
    assert bool(seen.models) is bool(run_name)
    for inner in seen.models:
        assert inner["name"] == run_name
        assert inner["parent_run_id"] == outer["run_id"]
        assert "mine" in inner["tags"]
        assert inner["metadata"]["tenant"] == "t1"
