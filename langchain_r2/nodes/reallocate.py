"""Nodes ``reallocate_downward`` and ``reallocate_upward``: the subtask changes its model by one step."""

import math

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.approval import UpwardRequest, chosen_model, decided
from langchain_r2.edges import asks_upward, downward_reason
from langchain_r2.flow import Flow
from langchain_r2.ledger import bill
from langchain_r2.nodes.base import Dependencies, Node, SubtaskContext, asked_text, capabilities, told_of, with_move
from langchain_r2.state import SubtaskState, SubtaskUpdate
from langchain_r2.transport import annotate
from langchain_r2.types import Direction, Reason, Verdict


def reallocate_downward_node(needs: Dependencies) -> Node:
    """Make the node that steps down, on a record or for the budget's sake; never below the floor, never twice."""

    def reallocate_downward(
        state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig
    ) -> Flow[SubtaskUpdate]:
        yield from ()  # a flow is a generator
        reason = downward_reason(state) or "record"
        model = needs.pool.down(state["model"], needs.floor, capabilities(state, runtime.context)) or state["model"]
        _tell(runtime, state, model, "downward", reason)
        moves = with_move(state, "downward", model, reason)
        annotate(config, told_of(moves[-1]))
        return SubtaskUpdate(model=model, direction="downward", reason=reason, lowered=True, moves=moves)

    return Node(reallocate_downward, "reallocate_downward")


def reallocate_upward_node(needs: Dependencies) -> Node:
    """Make the node that steps up, for the reason that the last try was not accepted; past a price it asks first."""

    def reallocate_upward(
        state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig
    ) -> Flow[SubtaskUpdate]:
        yield from ()  # a flow is a generator
        verdict = state["verdict"]
        reason: Reason = verdict["reason"] if verdict else "low_confidence"
        model = needs.pool.up(state["model"], capabilities(state, runtime.context)) or state["model"]
        asks = asks_upward(state)
        if asks:
            approved = _approved(needs, state, runtime.context, model, reason)
            if approved is None:
                return SubtaskUpdate(verdict=Verdict(accepted=False, reason="not_approved"))
            model = approved
        _tell(runtime, state, model, "upward", reason)
        moves = with_move(state, "upward", model, reason, approved=asks)
        annotate(config, told_of(moves[-1]))
        return SubtaskUpdate(model=model, direction="upward", reason=reason, verdict=None, moves=moves)

    return Node(reallocate_upward, "reallocate_upward")


def _approved(
    needs: Dependencies, state: SubtaskState, context: SubtaskContext, model: str, reason: Reason
) -> str | None:
    """The model that somebody wants for the next try; None: no further one. The node runs anew for the answer."""
    tries = [a for a in state["attempts"] if a["role"] == "executor"]
    expected = state["evidence"]["stronger_usd"]
    asked = UpwardRequest(
        kind="upward",
        query=state["query"],
        subtask_id=state["id"],
        text=state["text"],
        model=state["model"],
        to=model,
        reason=reason,
        answer=tries[-1]["answer"] if tries else None,
        confidence=tries[-1]["confidence"] if tries else None,
        estimate=needs.estimator(context.limits).step(
            model,
            asked_text(state),
            state["query"],
            None if math.isinf(expected) else expected,
            context.budget.left_usd,
        ),
        spent_usd=bill(state["attempts"]).cost_usd,
        problem=None,
    )
    chosen = decided(asked, lambda made: (chosen_model(made, asked, needs.pool),))[0]
    outcome = "rejected" if chosen is None else "approved"
    context.emit({"event": "approval", "subtask_id": state["id"], "outcome": outcome, "to": chosen})
    return chosen


def _tell(
    runtime: Runtime[SubtaskContext], state: SubtaskState, model: str, direction: Direction, reason: Reason
) -> None:
    runtime.context.emit(
        {
            "event": f"reallocate_{direction}",
            "subtask_id": state["id"],
            "from": state["model"],
            "to": model,
            "reason": reason,
        }
    )
