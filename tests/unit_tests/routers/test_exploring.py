"""An allocator that goes a step cheaper now and then, so that records show what that gives."""

from typing import Any

import pytest

from langchain_r2 import create_r2_graph
from langchain_r2.errors import BadValueError
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.exploring import ExploringAllocator, explored
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import scripted_message, scripted_pool
from langchain_r2.types import Plan, Subtask

PLAN = Plan(
    subtasks=[Subtask(id=str(i), text=f"part {i}", depends_on=[]) for i in range(1, 101)],
    parse="clean", confidence=None, rejected=[],
)  # fmt: skip
POOL = scripted_pool(["x"], ["x"], ["x"])


def _explored(share: float, model: str = "m3", query: str = "q", seed: int = 0) -> dict[str, str]:
    allocator = ExploringAllocator(FixedAllocator(POOL, model), POOL, share, seed=seed)
    said = allocator.invoke({"query": query, "plan": PLAN})["allocation"]
    assert all((said["reasons"][i] == "explored") == (m != model) for i, m in said["models"].items())
    return {i: m for i, m in said["models"].items() if said["reasons"][i] == "explored"}


def test_a_share_of_the_subtasks_goes_one_step_cheaper() -> None:
    assert _explored(0) == {}
    assert _explored(1) == dict.fromkeys([s["id"] for s in PLAN["subtasks"]], "m2")
    some = _explored(0.3)
    assert 15 <= len(some) <= 45
    assert set(some.values()) == {"m2"}


def test_the_same_query_explores_the_same() -> None:
    assert _explored(0.3) == _explored(0.3)
    assert _explored(0.3) != _explored(0.3, query="another")
    assert _explored(0.3) != _explored(0.3, seed=1)


def test_nothing_is_cheaper_than_the_cheapest() -> None:
    assert _explored(1, model="m1") == {}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_share_is_looked_at(share: float) -> None:
    with pytest.raises(BadValueError, match="share"):
        ExploringAllocator(FixedAllocator(POOL, "m1"), POOL, share)


def test_a_run_repairs_what_exploring_spoilt() -> None:
    def cheap(prompt: str) -> Any:
        return "1: a\n2: #1 b" if prompt.startswith("plan") else scripted_message("answer: 1", prompt, 0.1)

    pool = scripted_pool(cheap, lambda p: scripted_message("answer: 2", p, 0.99), prompt_style="bare")
    router: Any = {"decomposer": PromptedDecomposer(pool["m1"]), "allocator": FixedAllocator(pool, "m2"), "pool": pool}
    state = create_r2_graph(**explored(router, 1.0)).invoke({"query": "q"})
    tries = [(a["model"], a["reason"]) for a in state["attempts"] if a["role"] == "executor"]
    assert tries == [("m1", "explored"), ("m2", "low_confidence")] * 2
    assert state["answer"] == "2"


def test_without_an_allocator_the_default_one_explores() -> None:
    made = explored({"pool": POOL}, 0.5)
    assert isinstance(made["allocator"].allocator, CalibratedAllocator)
