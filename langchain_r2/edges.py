"""The decisions: pure functions from a state to the name of the next node."""

from collections.abc import Callable
from typing import Any, Final, Literal

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_r2.state import R2State, SubtaskState
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


def asks_upward(state: SubtaskState) -> bool:
    """Whether the next step up is so dear that somebody has to approve of it."""
    above = state.get("ask_above_usd")
    return above is not None and state["evidence"]["stronger_usd"] > above


def climbs(state: SubtaskState) -> Literal["execute_subtask", "__end__"]:
    """After a step up: try the stronger model, or end where nobody approved of it."""
    verdict = state["verdict"]
    return "__end__" if verdict is not None and verdict["reason"] == "not_approved" else "execute_subtask"


def allocated(state: R2State) -> Literal["approve", "execute"]:
    """Before anything is executed: does somebody have to approve of the plan?"""
    return "approve" if state.get("approval") == "asked" else "execute"


def approved(state: R2State) -> Literal["execute", "reject"]:
    """After somebody was asked: execute the plan, or end without an answer."""
    return "reject" if state.get("approval") == "rejected" else "execute"


class Edge(RunnableLambda[Any, Any]):
    """A decision as LangGraph runs it, shown in traces.

    On an event loop LangGraph puts a plain function into a thread, which takes longer than any decision and waits for a
    busy loop to let go of the interpreter.
    """

    def __init__(self, decide: Callable[[Any], Any]) -> None:
        """Take the function that decides; the edge has its name."""

        async def adecide(state: Any) -> Any:  # noqa: ANN401 - the state of either graph
            return decide(state)

        super().__init__(decide, adecide, name=decide.__name__)
        self._decide = decide

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401
        """Decide."""
        return super().invoke(input, config, **kwargs) if _watched(config) else self._decide(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401
        """Decide at once."""
        return await super().ainvoke(input, config, **kwargs) if _watched(config) else self._decide(input)


def _watched(config: RunnableConfig | None) -> bool:
    """Whether somebody listens to the steps of the run."""
    callbacks = (config or {}).get("callbacks")
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
    return any(not handler.ignore_chain for handler in handlers)
