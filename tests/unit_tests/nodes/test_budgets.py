"""What runs may spend: in USD, tokens and seconds, one run and all of a graph, all branches together."""

import asyncio
import time
from typing import Any

import pytest

from langchain_r2 import R2Context
from langchain_r2.errors import BudgetError
from langchain_r2.flow import run
from langchain_r2.ledger import Budget, bill
from langchain_r2.nodes.budgets import RunBudgets

PLAN = "\n".join(f"{i}: part {i}" for i in range(1, 9))


def tokens(output: Any) -> int:
    made = bill(output["attempts"])
    return made.input_tokens + made.output_tokens


@pytest.mark.parametrize("execution", ["tasks", "send"])
@pytest.mark.parametrize("limit", [100, 500, 10**6])
def test_a_run_keeps_to_its_tokens(make: Any, says: Any, limit: int, execution: str) -> None:
    made = make(says("a"), plan=PLAN, execution=execution, settings={"max_output_tokens": 5})
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_tokens=limit))
    assert tokens(output) <= limit
    assert output["status"] == {100: "budget_exhausted", 10**6: "ok"}.get(limit, output["status"])


def test_no_call_starts_when_the_time_is_over(make: Any, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead[0])

    def slow(prompt: str) -> Any:
        ahead[0] += 1000.0
        return "answer: a"

    made = make(slow, plan="1: one\n2: two #1")
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_s=500.0))
    assert output["status"] == "budget_exhausted"
    assert len(made.calls("m1")) == 1


@pytest.mark.parametrize("execution", ["tasks", "send"])
def test_all_runs_of_a_graph_share_its_budget(make: Any, says: Any, execution: str) -> None:
    alone = make(says("a"), plan=PLAN, prices=[10.0], execution=execution).graph.invoke({"query": "q"})
    cost = bill(alone["attempts"]).cost_usd or 0.0
    total = Budget(3.5 * cost)
    graph = make(says("a"), plan=PLAN, prices=[10.0], execution=execution, budget=total).graph

    async def runs() -> list[Any]:
        return await asyncio.gather(*(graph.ainvoke({"query": "q"}) for _ in range(6)))

    outputs = asyncio.run(runs())
    spent = sum(bill(o["attempts"]).cost_usd or 0.0 for o in outputs)
    assert spent == pytest.approx(total.spent_usd)
    assert spent <= 3.5 * cost
    assert {o["status"] for o in outputs} >= {"budget_exhausted"}
    assert total.left_usd == pytest.approx(3.5 * cost - spent)


def test_a_run_that_ended_is_forgotten_and_one_under_way_is_not() -> None:
    budgets, limits = RunBudgets(), R2Context(budget_usd=1.0)
    first = run(budgets.of("r1", limits, ()))
    assert run(budgets.of("r1", limits, ())) is first
    budgets.drop("r1")
    assert run(budgets.of("r1", limits, ())) is not first


def test_the_smaller_of_two_budgets_decides_and_both_are_charged() -> None:
    total = Budget(1.0)
    one, other = Budget(0.75, within=total), Budget(0.75, within=total)
    held = one.reserve(0.5)
    assert held is not None
    assert other.reserve(0.75) is None  # it may fit when the first one has settled
    assert (other.left_usd, total.left_usd) == (0.5, 0.5)
    one.settle(held, 0.25)
    later = other.reserve(0.75)
    assert later is not None
    with pytest.raises(BudgetError):
        one.reserve(0.625)
    assert one.left_usd == 0.0
    other.settle(later, None)
    assert (total.spent_usd, one.spent_usd, other.spent_usd) == (1.0, 0.25, 0.75)


def test_unknown_tokens_are_charged_at_their_bound() -> None:
    budget = Budget(limit_tokens=100)
    held = budget.reserve(None, 60)
    assert held is not None
    assert budget.reserve(None, 60) is None
    budget.settle(held, None)
    assert budget.spent_tokens == 60
    with pytest.raises(BudgetError, match="60 tokens; the budget has 40 tokens left"):
        budget.reserve(None, 60)
