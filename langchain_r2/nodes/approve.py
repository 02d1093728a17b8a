"""Node ``approve``: somebody sees plan, allocation and estimated cost before anything is executed."""

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.approval import Action, Decision, EditedPlan, PlanRequest, decided, edited_plan
from langchain_r2.flow import Flow
from langchain_r2.ledger import bill
from langchain_r2.nodes.base import Dependencies, Node, limits_of
from langchain_r2.state import R2State, R2Update
from langchain_r2.types import ApprovalState

_OUTCOMES: Final[Mapping[Action, ApprovalState]] = {"approve": "approved", "edit": "edited", "reject": "rejected"}


def approve_node(needs: Dependencies) -> Node:
    """Make the node. It runs anew for every answer, so it calls no model and pays nothing."""

    def approve(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        del config
        limits = limits_of(runtime, state)
        budget = yield from needs.budget(state, limits)
        kept = [result["id"] for result in state["results"]]
        asked = PlanRequest(
            kind="plan",
            query=state["query"],
            plan=state["plan"],
            allocation=state["allocation"],
            estimate=needs.estimator(limits).plan(
                state["query"],
                state["plan"],
                state["allocation"],
                kept=kept,
                left_usd=budget.left_usd,
                turn=state.get("turn"),
            ),
            spent_usd=bill(state["attempts"]).cost_usd,
            kept=kept,
            problem=None,
        )
        needs.budgets.drop(state["run_id"])  # its clock stands still while somebody thinks

        def read(made: Decision) -> tuple[Decision, EditedPlan | None]:
            return made, edited_plan(made, asked, needs.pool) if made["action"] == "edit" else None

        made, edited = decided(asked, read)
        outcome = _OUTCOMES[made["action"]]
        runtime.stream_writer({"event": "approval", "outcome": outcome})
        if edited is not None:
            runtime.stream_writer({"event": "plan", "plan": edited.plan})
            runtime.stream_writer({"event": "allocation", "allocation": edited.allocation})
            return R2Update(approval=outcome, plan=edited.plan, allocation=edited.allocation)
        if outcome == "rejected":
            return R2Update(approval=outcome, error=made.get("note") or "the plan was not approved")
        return R2Update(approval=outcome)

    return Node(approve, "approve")
