"""The decisions, branch by branch."""

from typing import Any

import pytest

from langchain_r2.edges import (
    RECORD_CONFIDENCE,
    RECORD_TRIES,
    allocated,
    approved,
    asks_upward,
    assess,
    climbs,
    downward_reason,
    reconsider,
    record_says_cheaper,
    replanned,
)
from langchain_r2.state import Evidence, SubtaskState
from langchain_r2.types import ModelRecord, Plan, Reason, Subtask, Verdict

INFINITE = float("inf")
PERFECT = ModelRecord(tries=2, accepted=2, confidence_sum=2.0)
SUBPLAN = Plan(
    subtasks=[Subtask(id="1", text="a", depends_on=[]), Subtask(id="2", text="b", depends_on=["1"])],
    parse="clean",
    confidence=None,
    rejected=[],
)


def record(tries: int, accepted: int, confidence_sum: float) -> ModelRecord:
    return ModelRecord(tries=tries, accepted=accepted, confidence_sum=confidence_sum)


def verdict(reason: Reason, *, accepted: bool = False) -> Verdict:
    return Verdict(accepted=accepted, reason=reason)


def state(**changes: Any) -> SubtaskState:
    """A subtask on ``m2`` with room both ways; keys of the evidence may be given beside the state's own."""
    evidence = Evidence(
        cheaper="m1",
        record=None,
        cheaper_record=None,
        remaining_usd=1.0,
        left_usd=None,
        stronger="m3",
        stronger_usd=1.0,
        replan_usd=None,
    )
    base: dict[str, Any] = {
        "id": "1", "text": "t", "query": "q", "known": {}, "kind": "t", "model": "m2", "direction": "initial",
        "reason": "allocated", "depth": 0, "tries": 1, "lowered": False, "attempts": [], "verdict": None,
        "subplan": None, "suballocation": None, "max_attempts": 4, "upward": True, "downward": True,
    }  # fmt: skip
    base |= {k: v for k, v in changes.items() if k not in evidence}
    base["evidence"] = {**evidence, **{k: v for k, v in changes.items() if k in evidence}}
    return base  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({}, None, id="no-evidence"),
        pytest.param({"record": PERFECT}, "record", id="a-perfect-record"),
        pytest.param({"remaining_usd": 2.0, "left_usd": 1.0}, "budget", id="too-little-left"),
        pytest.param({"remaining_usd": 1.0, "left_usd": 1.0}, None, id="just-enough-left"),
        pytest.param({"remaining_usd": INFINITE, "left_usd": 1.0}, "budget", id="unknown-price-under-a-limit"),
        pytest.param({"remaining_usd": INFINITE, "left_usd": None}, None, id="unknown-price-without-a-limit"),
        pytest.param({"remaining_usd": 2.0, "left_usd": 1.0, "record": PERFECT}, "budget", id="budget-before-record"),
        pytest.param({"record": PERFECT, "left_usd": 9.0}, "record", id="record-with-money-left"),
        pytest.param({"record": PERFECT, "lowered": True}, None, id="never-twice-for-a-record"),
        pytest.param({"remaining_usd": 2.0, "left_usd": 1.0, "lowered": True}, None, id="never-twice-for-the-budget"),
        pytest.param({"record": PERFECT, "downward": False}, None, id="switched-off"),
        pytest.param({"record": PERFECT, "cheaper": None}, None, id="at-the-floor"),
        pytest.param({"remaining_usd": 2.0, "left_usd": 1.0, "cheaper": None}, None, id="at-the-floor-without-money"),
        pytest.param({"record": PERFECT, "cheaper_record": record(1, 0, 0.0)}, None, id="the-cheaper-one-failed"),
    ],
)
def test_reconsider(changes: dict[str, Any], reason: str | None) -> None:
    subtask = state(**changes)
    assert downward_reason(subtask) == reason
    assert reconsider(subtask) == ("reallocate_downward" if reason else "execute_subtask")


@pytest.mark.parametrize(
    ("own", "cheaper", "expected"),
    [
        pytest.param(None, None, False, id="nothing-known"),
        pytest.param(record(RECORD_TRIES - 1, RECORD_TRIES - 1, 1.0), None, False, id="too-few-tries"),
        pytest.param(PERFECT, None, True, id="enough-tries"),
        pytest.param(record(3, 2, 3.0), None, False, id="one-failed"),
        pytest.param(record(2, 2, 2 * RECORD_CONFIDENCE), None, True, id="just-confident-enough"),
        pytest.param(record(2, 2, 2 * RECORD_CONFIDENCE - 0.01), None, False, id="not-confident-enough"),
        pytest.param(record(100, 100, 96.0), None, False, id="the-mean-counts-not-the-sum"),
        pytest.param(PERFECT, record(3, 3, 1.0), True, id="the-cheaper-one-never-failed"),
        pytest.param(PERFECT, record(3, 2, 3.0), False, id="the-cheaper-one-failed-once"),
    ],
)
def test_record_says_cheaper(own: ModelRecord | None, cheaper: ModelRecord | None, expected: bool) -> None:
    assert record_says_cheaper(own, cheaper) is expected


REJECTIONS: list[Reason] = ["low_confidence", "invalid_output", "truncated", "refused", "unreachable"]


@pytest.mark.parametrize("reason", REJECTIONS)
def test_assess_climbs_for_every_rejection(reason: Reason) -> None:
    assert assess(state(verdict=verdict(reason))) == "reallocate_upward"


@pytest.mark.parametrize("reason", REJECTIONS)
def test_assess_replans_for_every_rejection_where_that_is_cheaper(reason: Reason) -> None:
    assert assess(state(verdict=verdict(reason), replan_usd=0.5)) == "replan"


NO = verdict("low_confidence")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"verdict": None}, "__end__", id="no-verdict"),
        pytest.param({"verdict": verdict("confident", accepted=True)}, "__end__", id="accepted"),
        pytest.param({"verdict": verdict("no_signal", accepted=True)}, "__end__", id="accepted-without-signal"),
        pytest.param({"verdict": verdict("budget")}, "__end__", id="no-money"),
        pytest.param({"verdict": verdict("budget"), "replan_usd": 0.0}, "__end__", id="no-money-for-a-replan-either"),
        pytest.param({"verdict": NO, "tries": 4}, "__end__", id="attempts-used"),
        pytest.param({"verdict": NO, "tries": 4, "replan_usd": 0.0}, "__end__", id="attempts-used-no-replan"),
        pytest.param({"verdict": NO, "tries": 3}, "reallocate_upward", id="one-attempt-left"),
        pytest.param({"verdict": NO, "stronger": None}, "__end__", id="top-of-pool"),
        pytest.param({"verdict": NO, "upward": False}, "__end__", id="upward-switched-off"),
        pytest.param({"verdict": NO, "replan_usd": 1.0}, "reallocate_upward", id="a-tie-climbs"),
        pytest.param({"verdict": NO, "replan_usd": 2.0}, "reallocate_upward", id="dearer-replan-climbs"),
        pytest.param({"verdict": NO, "replan_usd": 9.0, "stronger": None}, "replan", id="replan-at-the-top"),
        pytest.param({"verdict": NO, "replan_usd": 9.0, "upward": False}, "replan", id="replan-without-upward"),
    ],
)
def test_assess(changes: dict[str, Any], expected: str) -> None:
    assert assess(state(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"subplan": SUBPLAN}, "__end__", id="a-sub-plan-to-run"),
        pytest.param({}, "reallocate_upward", id="could-not-be-split"),
        pytest.param({"verdict": verdict("budget")}, "__end__", id="no-money"),
        pytest.param({"upward": False}, "__end__", id="upward-switched-off"),
        pytest.param({"stronger": None}, "__end__", id="top-of-pool"),
    ],
)
def test_replanned(changes: dict[str, Any], expected: str) -> None:
    assert replanned(state(**{"verdict": NO, **changes})) == expected


@pytest.mark.parametrize(
    ("approval", "after_allocate", "after_approve"),
    [
        ("not_asked", "execute", "execute"),
        ("asked", "approve", "execute"),
        ("approved", "execute", "execute"),
        ("edited", "execute", "execute"),
        ("rejected", "execute", "reject"),
    ],
)
def test_whether_a_plan_is_shown_and_executed(approval: str, after_allocate: str, after_approve: str) -> None:
    run: Any = {"approval": approval}
    assert (allocated(run), approved(run)) == (after_allocate, after_approve)


def test_whether_a_step_up_is_asked_about_and_made() -> None:
    assert not asks_upward(state(stronger_usd=INFINITE))
    assert [asks_upward(state(ask_above_usd=0.5, stronger_usd=usd)) for usd in (0.5, 0.51, INFINITE)] == [
        False,
        True,
        True,
    ]
    assert climbs(state(verdict=None)) == "execute_subtask"
    assert climbs(state(verdict=verdict("not_approved"))) == "__end__"
