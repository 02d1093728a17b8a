"""Reviews in rollouts: when they happen, what they change, what they cost."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_r2 import ModelSpec, Price
from langchain_r2.errors import BadValueError, UnknownModelError, UnreachableError
from langchain_r2.pool import ModelPool
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from tests.training_tests.conftest import ITEM, calls_of, knows
from training.executions import ExecutionCache
from training.grpo_settings import ReviewSettings
from training.plan_requests import PlanRequest, PlanRun, as_reply
from training.plan_runs import PlanRunner
from training.review import ReviewedTransport

PLAN = as_reply(["2 plus 3", "#1 times 2"])


def reviewed(pool: ModelPool, models: dict[str, str], **policy: Any) -> tuple[PlanRun, ReviewedTransport]:
    transport = ReviewedTransport(ExecutionCache(), pool, ReviewSettings(**policy), max_tries=1)
    router = ModelSpec(name="router", model=ScriptedChatModel(script=[""]), price=Price(input=1.0, output=1.0))
    runner = PlanRunner(pool, lambda said, item: said == item.gold, transport, decomposer=router)
    (run,) = runner.run_all([PlanRequest(item=ITEM, plan=PLAN, allocation=models)])
    return run, transport


def pool_of(weak: ScriptedChatModel | Callable[[str], Any], strong: Callable[[str], Any], **settings: Any) -> ModelPool:
    return scripted_pool(weak, strong, prompt_style="bare", **settings)


WEAK, STRONG = knows("plus"), knows("plus", "times")
CHEAP = {"1": "m1", "2": "m1"}


def test_never_changes_nothing() -> None:
    run, transport = reviewed(pool_of(WEAK, STRONG), CHEAP)
    assert (run.status, run.answer) == ("wrong", "0")
    assert {a["role"] for a in run.attempts} == {"decomposer", "executor"}
    assert transport.counts.as_metrics()["trigger_rate"] == 0


def test_always_overturns_what_is_wrong_and_charges_every_review() -> None:
    run, transport = reviewed(pool_of(WEAK, STRONG), CHEAP, policy="always")
    assert (run.status, run.answer) == ("right", "10")
    assert [(r["answer"], r["model"]) for r in run.results] == [("5", "m1"), ("10", "m1")]
    rows = [(a["role"], a["model"]) for a in run.attempts if a["role"] != "decomposer"]
    assert rows == [("evaluator", "m2"), ("executor", "m1")] * 2
    charged = sum(a["cost_usd"] or 0 for a in run.attempts if a["role"] == "evaluator")
    assert charged > 0
    assert run.cost_usd == pytest.approx(charged + sum(a["cost_usd"] or 0 for a in run.attempts[2::2]))
    counts = transport.counts.as_metrics()
    assert (counts["answers"], counts["trigger_rate"], counts["overturn_rate"]) == (2, 1.0, 0.5)
    assert counts["cost_usd"] == pytest.approx(charged)


def test_nobody_reviews_himself() -> None:
    pool = pool_of(WEAK, STRONG)
    run, transport = reviewed(pool, {"1": "m2", "2": "m2"}, policy="always")
    assert run.status == "right"
    assert transport.counts.answers == 0
    assert calls_of(pool) == {"m1": 0, "m2": 2}


@pytest.mark.parametrize(("probability", "triggered"), [(0.3, 2), (0.99, 0)])
def test_low_confidence_asks_where_the_model_is_unsure(probability: float, triggered: int) -> None:
    shy = ScriptedChatModel(script=WEAK, probability=probability)
    run, transport = reviewed(pool_of(shy, STRONG), CHEAP, policy="low_confidence", threshold=0.6)
    assert transport.counts.triggered == triggered
    assert run.status == ("right" if triggered else "wrong")


def test_sampled_asks_about_the_same_answers_again() -> None:
    none, _ = reviewed(pool_of(WEAK, STRONG), CHEAP, policy="sampled", share=0.0)
    every, _ = reviewed(pool_of(WEAK, STRONG), CHEAP, policy="sampled", share=1.0)
    assert (none.status, every.status) == ("wrong", "right")
    shares = {reviewed(pool_of(WEAK, STRONG), CHEAP, policy="sampled", share=0.5)[1].counts.triggered for _ in "ab"}
    assert len(shares) == 1


def test_a_reviewer_that_fails_overturns_nothing() -> None:
    run, transport = reviewed(pool_of(WEAK, lambda _: UnreachableError("down")), CHEAP, policy="always")
    assert run.answer == "0"
    assert (transport.counts.triggered, transport.counts.overturned) == (2, 0)


@pytest.mark.parametrize(("word", "status", "calls"), [("no", "right", 4), ("Yes.", "wrong", 2)])
def test_a_reviewer_that_reads_instructions_judges_first(word: str, status: str, calls: int) -> None:
    def strong(prompt: str) -> str:
        if "Proposed answer" in prompt:
            return word
        return "Answer: 5" if "2 plus 3" in prompt else "Answer: 10"

    weak = pool_of(WEAK, STRONG)["m1"]
    judge = scripted_pool(strong, strong)["m2"]
    pool = ModelPool([weak, judge])
    run, _ = reviewed(pool, CHEAP, policy="always")
    assert run.status == status
    assert calls_of(pool)["m2"] == calls


def test_policies_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadValueError, match="share of the review"):
        ReviewSettings(share=2.0)
    with pytest.raises(UnknownModelError):
        ReviewedTransport(ExecutionCache(), pool_of(WEAK, STRONG), ReviewSettings(reviewer="none"))
