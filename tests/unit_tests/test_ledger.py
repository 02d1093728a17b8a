"""Bills and budgets."""

import random
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_r2.errors import BudgetError
from langchain_r2.ledger import Budget, Reservation, add_costs, bill
from langchain_r2.types import Attempt


def row(
    role: str = "executor", model: str = "m1", cost: float | None = 1.0, tokens: tuple[int, int] = (10, 2)
) -> Attempt:
    fields: dict[str, Any] = {
        "subtask_id": "1", "role": role, "model": model, "group": "SLM", "direction": "initial", "reason": "allocated",
        "confidence": None, "input_tokens": tokens[0], "cached_input_tokens": 0, "output_tokens": tokens[1],
        "cost_usd": cost, "wall_s": 0.0, "error_type": None, "answer": "x",
    }  # fmt: skip
    return fields  # type: ignore[return-value]


def test_a_bill_adds_up_per_role_and_model() -> None:
    rows = [
        row("decomposer", "m2", 4.0),
        row("executor", "m1", 1.0),
        row("executor", "m2", 2.0),
        row("allocator", "r", 1.0),
    ]
    made = bill(rows)
    assert made.cost_usd == 8.0
    assert made.by_role == {"decomposer": 4.0, "executor": 3.0, "allocator": 1.0}
    assert made.by_model == {"m2": 6.0, "m1": 1.0, "r": 1.0}
    assert (made.calls, made.input_tokens, made.output_tokens) == (4, 40, 8)
    assert made.router_share == 5 / 8


def test_a_bill_is_printed_without_the_noise_of_sums() -> None:
    made = str(bill([row("decomposer", "m2", 0.1), row("executor", "m2", 0.2)]))
    assert made == "0.300 USD in 2 calls, 20 tokens in, 4 out; decomposer 0.100; executor 0.200; m2 0.300"
    assert "unknown USD" in str(bill([row(cost=None)]))


def test_an_unknown_cost_makes_its_sums_unknown_and_no_others() -> None:
    made = bill([row(cost=None), row(cost=1.0), row("decomposer", "m2", 2.0)])
    assert made.cost_usd is None
    assert made.by_role == {"executor": None, "decomposer": 2.0}
    assert made.by_model == {"m1": None, "m2": 2.0}
    assert made.router_share is None


@pytest.mark.parametrize(
    ("a", "b", "total"), [(1.0, 2.0, 3.0), (None, 1.0, None), (1.0, None, None), (None, None, None)]
)
def test_add_costs(a: float | None, b: float | None, total: float | None) -> None:
    assert add_costs(a, b) == total


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([row(cost=0.0)], None, id="free"),
        pytest.param([row(cost=2.0)], 0.0, id="no-router"),
        pytest.param([row("evaluator", cost=1.0), row(cost=3.0)], 0.25, id="the-evaluator-is-the-routers"),
        pytest.param([row("aggregator", cost=1.0), row(cost=3.0)], 0.0, id="the-aggregator-is-not"),
        pytest.param([row("decomposer", cost=None), row(cost=3.0)], None, id="unknown"),
    ],
)
def test_router_share(rows: list[Attempt], share: float | None) -> None:
    assert bill(rows).router_share == share


def test_an_empty_bill_is_nothing() -> None:
    assert bill([]) == (0.0, {}, {}, 0, 0, 0)


def reserve(budget: Budget, usd: float) -> Reservation:
    made = budget.reserve(usd)
    assert made is not None
    return made


def test_a_reservation_is_replaced_by_the_real_cost() -> None:
    budget = Budget(10.0)
    held = reserve(budget, 6.0)
    assert (budget.left_usd, budget.spent_usd) == (4.0, 0.0)
    budget.settle(held, 1.5)
    assert (budget.left_usd, budget.spent_usd) == (8.5, 1.5)


def test_a_call_waits_where_others_under_way_hold_the_money() -> None:
    budget = Budget(10.0)
    held = reserve(budget, 6.0)
    assert budget.reserve(6.0) is None
    budget.settle(held, 1.0)
    assert budget.reserve(6.0) is not None


def test_a_call_that_can_never_be_paid_is_refused() -> None:
    budget = Budget(10.0, spent_usd=5.0)
    with pytest.raises(BudgetError) as caught:
        budget.reserve(5.5)
    assert (caught.value.needed, caught.value.left) == (5.5, 5.0)
    assert budget.left_usd == 5.0


def test_the_whole_limit_may_be_spent() -> None:
    budget = Budget(10.0)
    budget.settle(reserve(budget, 10.0), 10.0)
    assert budget.left_usd == 0.0
    reserve(budget, 0.0)


def test_no_limit_reserves_nothing_but_counts() -> None:
    budget = Budget(None)
    held = reserve(budget, 1e9)
    assert budget.left_usd is None
    budget.settle(held, 3.0)
    budget.settle(reserve(budget, 1.0), None)
    assert budget.spent_usd == 3.0


def test_an_unknown_price_needs_an_unlimited_budget() -> None:
    assert Budget(None).reserve(None) is not None
    with pytest.raises(BudgetError):
        Budget(1e12).reserve(None)


def test_an_unknown_cost_is_charged_at_the_worst_case() -> None:
    budget = Budget(10.0)
    budget.settle(reserve(budget, 4.0), None)
    assert (budget.spent_usd, budget.left_usd) == (4.0, 6.0)


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_threads_never_pass_the_limit_and_release_everything(seed: int, cents: int) -> None:
    budget = Budget(float(cents))
    over: list[float] = []

    def work(rng: random.Random) -> None:
        for _ in range(5):
            worst = rng.uniform(0, 20)
            try:
                while (held := budget.reserve(worst)) is None:
                    time.sleep(0.001)
            except BudgetError:
                continue
            left = budget.left_usd
            if left is None or left < -1e-9:
                over.append(worst)
            budget.settle(held, rng.choice([0.0, worst / 2, worst, None]))

    threads = [threading.Thread(target=work, args=(random.Random(seed + i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert over == []
    assert budget.spent_usd <= cents + 1e-9
    assert budget.left_usd == pytest.approx(cents - budget.spent_usd)
