"""Rewards as tables."""

import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_r2.errors import BadValueError
from langchain_r2.types import ParseOutcome
from training.plan_requests import RunStatus
from training.rewards import (
    PAPER,
    GroupCounts,
    RewardSettings,
    agreement,
    group_counts,
    model_shares,
    reward,
    saving,
)

OURS = RewardSettings(eta=0.4, kappa=0.2)
GROUPS = {"a": "SLM", "b": "SLM", "c": "MLM"}


@pytest.mark.parametrize(
    ("status", "form", "cost", "reference", "agreed", "expected"),
    [
        ("right", "clean", 1.0, 4.0, None, 1.3),
        ("right", "clean", 0.0, 4.0, None, 1.4),
        ("right", "clean", 6.0, 4.0, None, 0.8),
        ("right", "clean", 900.0, 4.0, None, 0.6),
        ("right", "clean", 1.0, 4.0, 0.5, 1.4),
        ("right", "clean", 1.0, None, None, 1.0),
        ("right", "clean", 1.0, 0.0, None, 1.0),
        ("right", "repaired", 1.0, 4.0, 1.0, -1.0),
        ("wrong", "clean", 0.0, 4.0, None, 0.0),
        ("wrong", "clean", 9.0, 4.0, 0.5, 0.1),
        ("wrong", "malformed", 0.0, 4.0, 1.0, -1.0),
        ("unusable", "malformed", 0.0, 4.0, 1.0, -1.0),
        ("unusable", "clean", 0.0, 4.0, None, -1.0),
        ("failed", "clean", 0.0, 4.0, 1.0, None),
        ("failed", "repaired", 0.0, 4.0, 1.0, None),
        ("ungradable", "clean", 0.0, 4.0, 1.0, None),
    ],
)
def test_what_a_rollout_earns(
    status: RunStatus,
    form: ParseOutcome,
    cost: float,
    reference: float | None,
    agreed: float | None,
    expected: float | None,
) -> None:
    earned = reward(status, OURS, form=form, cost_usd=cost, reference_usd=reference, agreed=agreed)
    assert earned == (None if expected is None else pytest.approx(expected))


def test_the_papers_reward_is_one_or_zero() -> None:
    statuses: tuple[RunStatus, ...] = ("right", "wrong", "unusable")
    forms: tuple[ParseOutcome, ...] = ("clean", "repaired", "malformed")
    for status, form, cost, agreed in product(statuses, forms, (0.0, 2.0, 99.0, None), (None, 1.0)):
        earned = reward(status, PAPER, form=form, cost_usd=cost, reference_usd=4.0, agreed=agreed)
        assert earned == float(status == "right" and form == "clean")


WEIGHTS = st.floats(0, 0.999).flatmap(lambda eta: st.tuples(st.just(eta), st.floats(0, max(0.0, 0.9989 - eta))))


@given(
    WEIGHTS,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_failing_never_pays(
    weights: tuple[float, float], dear: float, cheap: float, reference: float, a: float, b: float
) -> None:
    settings = RewardSettings(eta=weights[0], kappa=weights[1])
    right = reward("right", settings, cost_usd=dear, reference_usd=reference, agreed=a)
    wrong = reward("wrong", settings, cost_usd=cheap, reference_usd=reference, agreed=b)
    malformed = reward("unusable", settings, form="malformed")
    assert right is not None
    assert wrong is not None
    assert malformed is not None
    assert malformed < wrong < right


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"eta": 0.7, "kappa": 0.3}, "eta \\+ kappa"),
        ({"eta": -0.1}, "eta is"),
        ({"kappa": float("nan")}, "kappa is"),
        ({"malformed": 0.5}, "malformed is"),
    ],
)
def test_weights_that_could_make_failing_pay_are_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(BadValueError, match=named):
        RewardSettings(**settings)


def test_an_unknown_cost_is_never_a_saving() -> None:
    with pytest.raises(BadValueError, match="price"):
        reward("right", OURS, cost_usd=None, reference_usd=4.0)
    assert reward("right", RewardSettings(eta=0, kappa=0), cost_usd=None, reference_usd=4.0) == 1
    with pytest.raises(BadValueError, match="reference_usd"):
        saving(1.0, -2.0)


@pytest.mark.parametrize(
    ("allocated", "expected"),
    [
        ({"1": "a", "2": "c"}, 1.0),
        ({"1": "b", "2": "c"}, 0.75),
        ({"1": "c", "2": "c"}, 0.5),
        ({"1": "c", "2": "b"}, 0.0),
        ({"1": "a"}, 0.5),
        ({"1": "tool", "2": "c"}, 0.5),
        ({}, 0.0),
    ],
)
def test_agreement_with_a_label(allocated: dict[str, str], expected: float) -> None:
    assert agreement(allocated, {"1": "a", "2": "c"}, GROUPS) == expected


def test_without_a_label_nothing_is_agreed_on() -> None:
    assert agreement({"1": "a"}, {}, GROUPS) is None


def test_groups_are_counted_apart() -> None:
    batch: list[list[float | None]] = [[None, None], [1.0, 1.0], [None, 0.5], [0.0, 1.0], [-1.0, -1.0 + 1e-12]]
    assert group_counts(batch) == GroupCounts(groups=5, dropped=1, zero_variance=3)


def test_shares_of_models() -> None:
    assert model_shares(["b", "a", "b", "b"]) == {"b": 0.75, "a": 0.25}
    assert model_shares([]) == {}


def test_rewards_need_no_torch() -> None:
    code = "import sys, training.rewards; sys.exit(any(m in sys.modules for m in ('torch', 'trl', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
