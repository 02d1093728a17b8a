"""The decisions: pure functions from a state to the name of the next node."""

from typing import Final, Literal

from langchain_r2.state import SubtaskState
from langchain_r2.types import ModelRecord

RECORD_TRIES: Final = 2
"""Least tries of a model on a kind of subtask before its record counts."""
RECORD_CONFIDENCE: Final = 0.97
"""Mean confidence from which the record says that one step cheaper will do."""


def reconsider(state: SubtaskState) -> Literal["execute_subtask", "reallocate_downward"]:
    """Before a subtask runs: does evidence, or the budget, say one step cheaper?"""
    return "reallocate_downward" if downward_reason(state) else "execute_subtask"


def downward_reason(state: SubtaskState) -> Literal["record", "budget"] | None:
    """Why the subtask should go one step down; None: it should not."""
    evidence = state["evidence"]
    if state["lowered"] or not state["downward"] or evidence["cheaper"] is None:
        return None
    left = evidence["left_usd"]
    if left is not None and evidence["remaining_usd"] > left:
        return "budget"
    if record_says_cheaper(evidence["record"], evidence["cheaper_record"]):
        return "record"
    return None


def record_says_cheaper(record: ModelRecord | None, cheaper: ModelRecord | None) -> bool:
    """Whether a model did so well on a kind of subtask that a cheaper one may try; not if that one failed at it."""
    if record is None or record["tries"] < RECORD_TRIES or record["accepted"] < record["tries"]:
        return False
    if cheaper is not None and cheaper["accepted"] < cheaper["tries"]:
        return False
    return record["confidence_sum"] / record["tries"] >= RECORD_CONFIDENCE


def assess(state: SubtaskState) -> Literal["reallocate_upward", "replan", "__end__"]:
    """After a try: accept it, give it to a stronger model, decompose it in turn, or end with the best there is."""
    verdict = state["verdict"]
    if verdict is None or verdict["accepted"] or verdict["reason"] == "budget":
        return "__end__"
    if state["tries"] >= state["max_attempts"]:
        return "__end__"
    evidence = state["evidence"]
    can_climb = state["upward"] and evidence["stronger"] is not None
    replan_usd = evidence["replan_usd"]
    if replan_usd is not None and (not can_climb or replan_usd < evidence["stronger_usd"]):
        return "replan"
    return "reallocate_upward" if can_climb else "__end__"


def replanned(state: SubtaskState) -> Literal["reallocate_upward", "__end__"]:
    """After a replan: run the sub-plan, or climb after all where the subtask could not be decomposed."""
    verdict = state["verdict"]
    if state["subplan"] is not None or (verdict is not None and verdict["reason"] == "budget"):
        return "__end__"
    return "reallocate_upward" if state["upward"] and state["evidence"]["stronger"] is not None else "__end__"
