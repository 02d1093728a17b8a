"""Plans that are given run through the real graph, and what came of them is told apart."""

import asyncio
from typing import Any

import pytest

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError, UnreachableError
from langchain_r2.pool import ModelPool
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from tests.training_tests.conftest import ITEM, calls_of, knows, make_runner
from training.executions import CachedTransport, ExecutionCache, Stored
from training.plan_requests import PlanRequest, as_reply
from training.plan_runs import PlanRunner

PLAN = as_reply(["2 plus 3", "#1 times 2"], input_tokens=7, output_tokens=5)


def _request(first: str = "m1", second: str = "m2", plan: Stored = PLAN, **settings: Any) -> PlanRequest:
    return PlanRequest(item=ITEM, plan=plan, allocation={"1": first, "2": second}, **settings)


def test_a_plan_costs_its_calls_and_the_reply_that_it_is(pool: ModelPool) -> None:
    (run,) = make_runner(pool).run_all([_request()])
    assert (run.status, run.answer, run.parse) == ("right", "10", "clean")
    assert run.router_usd == pytest.approx(12e-6)
    # Each prompt is `solve : 2 plus 3`, five words, and each answer `answer : 5`, three.
    assert run.cost_usd == pytest.approx(12e-6 + 8e-6 * (1 + 2))
    assert run.tokens == 12 + 16
    assert [(a["role"], a["model"]) for a in run.attempts] == [
        ("decomposer", "router"),
        ("executor", "m1"),
        ("executor", "m2"),
    ]


def test_it_keeps_to_its_allocation(pool: ModelPool) -> None:
    (run,) = make_runner(pool).run_all([_request("m1", "m1")])
    assert (run.status, run.answer) == ("wrong", "0")
    assert dict(run.allocation) == {"1": "m1", "2": "m1"}


def test_with_reallocation_a_wrong_model_is_left() -> None:
    shy = ScriptedChatModel(script=knows("plus"), probability=0.1)
    pool = scripted_pool(shy, knows("plus", "times"), prompt_style="bare")
    context = R2Context(max_replans=0)
    (run,) = make_runner(pool, context=context).run_all([_request("m1", "m1")])
    assert run.status == "right"
    assert [a["model"] for a in run.attempts if a["role"] == "executor"] == ["m1", "m2", "m1", "m2"]


@pytest.mark.parametrize(
    ("text", "problem"), [("", "unparsable"), ("1 : #2\n2 : #1", "cycle"), ("1 : #4 plus 2", "missing_dependency")]
)
def test_a_reply_that_is_no_plan_runs_nothing(pool: ModelPool, text: str, problem: str) -> None:
    (run,) = make_runner(pool).run_all([_request(plan=Stored(text))])
    assert run.status == "unusable"
    assert problem in str(run.error)
    assert set(calls_of(pool).values()) == {0}


def test_a_repaired_plan_runs_and_says_so(pool: ModelPool) -> None:
    (run,) = make_runner(pool).run_all([_request(plan=Stored("Here:\n- 1. 2 plus 3\n- 2. #1 times 2"))])
    assert (run.status, run.parse) == ("right", "repaired")


def test_a_pool_that_is_down_says_nothing_about_the_plan(pool: ModelPool) -> None:
    (run,) = make_runner(pool).run_all([_request("m3", "m2")])
    assert (run.status, run.error) == ("failed", "UnreachableError")


def test_a_plan_that_takes_too_long_failed() -> None:
    pool = scripted_pool(ScriptedChatModel(script=knows("plus", "times"), delay_s=5.0), prompt_style="bare")
    (run,) = make_runner(pool, timeout_s=0.05).run_all([_request("m1", "m1")])
    assert run.status == "failed"
    assert "more than 0.05 s" in str(run.error)
    assert run.cost_usd is None


def test_a_budget_that_is_too_small_failed(pool: ModelPool) -> None:
    (run,) = make_runner(pool, context=R2Context(budget_usd=1e-9)).run_all([_request()])
    assert run.status == "failed"


def test_what_cannot_be_graded_is_neither_right_nor_wrong(pool: ModelPool) -> None:
    def fails(prediction: str, item: object) -> bool:
        raise KeyError(prediction)

    runner = make_runner(pool)
    runner.grader = fails
    (run,) = runner.run_all([_request()])
    assert run.status == "ungradable"


def test_only_what_changed_is_executed(pool: ModelPool) -> None:
    runner = make_runner(pool)
    runner.run_all([_request("m2", "m2")])
    assert calls_of(pool) == {"m1": 0, "m2": 2, "m3": 0}
    (run,) = runner.run_all([_request("m1", "m2")])
    assert calls_of(pool) == {"m1": 1, "m2": 2, "m3": 0}
    assert run.cost_usd == pytest.approx(12e-6 + 24e-6)


def test_nothing_is_run_twice_after_a_restart(pool: ModelPool, tmp_path: Any) -> None:
    (first,) = make_runner(pool, ExecutionCache(tmp_path / "c.sqlite")).run_all([_request()])
    (again,) = make_runner(pool, ExecutionCache(tmp_path / "c.sqlite")).run_all([_request()])
    assert again.cost_usd == first.cost_usd
    assert calls_of(pool) == {"m1": 1, "m2": 1, "m3": 0}


def test_a_failed_run_is_run_again(pool: ModelPool) -> None:
    down = pool["m3"].model
    assert isinstance(down, ScriptedChatModel)
    runner = make_runner(pool)
    assert runner.run_all([_request("m3")])[0].status == "failed"
    down.script = knows("plus")
    assert runner.run_all([_request("m3")])[0].status == "right"


def _allocator(pool: ModelPool, transport: CachedTransport) -> PromptedAllocator:
    spec = scripted_pool(["1 : a\n2 : c"], prompt_style="bare").cheapest
    return PromptedAllocator(spec, pool, shuffle_aliases=False, transport=transport)


def test_an_allocator_s_reply_is_read_and_billed_as_in_running(pool: ModelPool) -> None:
    runner = make_runner(pool, allocator=_allocator)
    reply = Stored("1 : a\n2 : c", input_tokens=4, output_tokens=4)
    (run,) = runner.run_all([PlanRequest(item=ITEM, plan=PLAN, allocation=reply)])
    assert dict(run.allocation) == {"1": "m1", "2": "m2"}
    assert run.status == "right"
    assert run.router_usd == pytest.approx(12e-6 + 8e-6)


@pytest.mark.parametrize("text", ["nonsense", "1 : a", "1 : a\n2 : z"])
def test_a_reply_that_is_no_allocation_runs_nothing(pool: ModelPool, text: str) -> None:
    (run,) = make_runner(pool, allocator=_allocator).run_all(
        [PlanRequest(item=ITEM, plan=PLAN, allocation=Stored(text))]
    )
    assert run.status == "unusable"
    assert set(calls_of(pool).values()) == {0}


def test_a_frozen_allocator_is_asked(pool: ModelPool) -> None:
    (run,) = make_runner(pool, allocator=_allocator).run_all([PlanRequest(item=ITEM, plan=PLAN)])
    assert dict(run.allocation) == {"1": "m1", "2": "m2"}
    assert [a["role"] for a in run.attempts][:2] == ["decomposer", "allocator"]


def test_wrong_use_is_told(pool: ModelPool) -> None:
    runner = make_runner(pool)
    with pytest.raises(BadValueError, match="no allocator"):
        runner.run_all([PlanRequest(item=ITEM, plan=PLAN)])
    with pytest.raises(BadValueError, match="Subtask '2' has none"):
        runner.run_all([PlanRequest(item=ITEM, plan=PLAN, allocation={"1": "m1", "2": "m9"})])
    with pytest.raises(BadValueError, match="concurrency is 0"):
        make_runner(pool, concurrency=0)


async def test_no_more_plans_are_under_way_than_allowed() -> None:
    under_way = most = 0

    class Counting(PlanRunner):
        async def _invoked(self, request: PlanRequest) -> dict[str, Any]:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            raise UnreachableError("as if")

    made = make_runner(scripted_pool("x", prompt_style="bare"))
    runner = Counting(made.pool, made.grader, made.transport, decomposer=made.decomposer, concurrency=3)
    ended: list[str] = []
    requests = [_request("m1", "m1", repetition=i) for i in range(12)]
    runs = await runner.arun_all(requests, lambda run: ended.append(run.status))
    assert most == 3
    assert [run.status for run in runs] == ended == ["failed"] * 12
