"""Node ``replan``: a subtask that is too hard for its model is decomposed in turn."""

from typing import Literal

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.nodes.allocate import allocated
from langchain_r2.nodes.base import Dependencies, Node, SubtaskContext, asked_text, told_of, with_move
from langchain_r2.nodes.budgets import routed
from langchain_r2.routers.base import AllocatorInput, DecomposerInput
from langchain_r2.state import Evidence, SubtaskState, SubtaskUpdate
from langchain_r2.transport import annotate
from langchain_r2.types import Attempt, Plan, Verdict


def replan_node(needs: Dependencies) -> Node:
    """Make the node. It makes the sub-plan and its allocation; ``execute_plan`` runs them in the subtask's place."""

    def replan(state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig) -> Flow[SubtaskUpdate]:
        budget, deadline_s = runtime.context.budget, runtime.context.limits.deadline_s
        attempts: list[Attempt] = []
        try:
            asked = DecomposerInput(
                query=asked_text(state),
                subtask_id=state["id"],
                deadline_s=deadline_s,
                run_id=runtime.context.run_id,
            )
            made = yield from routed(Invoke(needs.decomposer, asked, config), budget)
            plan, attempts = made["plan"], made["attempts"]
            if why := _unpromising(plan, state["attempts"]):
                runtime.context.emit({"event": "not_replanned", "subtask_id": state["id"], "reason": why})
                evidence = Evidence(**{**state["evidence"], "replan_usd": None})
                moves = with_move(state, "not_replanned", None, why)
                annotate(config, told_of(moves[-1]))
                attempts = [*state["attempts"], *attempts]
                return SubtaskUpdate(attempts=attempts, evidence=evidence, subplan=None, moves=moves)
            to_allocate = AllocatorInput(
                query=asked_text(state),
                plan=plan,
                subtask_id=state["id"],
                deadline_s=deadline_s,
                run_id=runtime.context.run_id,
            )
            made = yield from allocated(needs, to_allocate, config, budget)
            attempts = [*attempts, *made["attempts"]]
        except BudgetError:
            verdict = Verdict(accepted=False, reason="budget")
            return SubtaskUpdate(verdict=verdict, attempts=[*state["attempts"], *attempts])
        runtime.context.emit(
            {"event": "replan", "subtask_id": state["id"], "plan": plan, "allocation": made["allocation"]}
        )
        judged = state["verdict"]
        moves = with_move(state, "replan", None, judged["reason"] if judged else "low_confidence")
        annotate(config, told_of(moves[-1]))
        return SubtaskUpdate(
            subplan=plan,
            suballocation=made["allocation"],
            attempts=[*state["attempts"], *attempts],
            moves=moves,
        )

    return Node(replan, "replan")


def _unpromising(plan: Plan, tries: list[Attempt]) -> Literal["not_split", "improbable"] | None:
    """Why a sub-plan should not run: it is one subtask again, or less likely right than an answer at hand."""
    if len(plan["subtasks"]) < 2:
        return "not_split"
    best = max((a["confidence"] or 0.0 for a in tries if a["role"] == "executor"), default=0.0)
    return "improbable" if plan["confidence"] is not None and plan["confidence"] <= best else None
