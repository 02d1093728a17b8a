"""Node ``allocate``: every subtask of the plan gets a model."""

from collections.abc import Set
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.ledger import Budget
from langchain_r2.nodes.base import Dependencies, Node, limits_of
from langchain_r2.nodes.budgets import routed
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput, uniform_allocation
from langchain_r2.state import R2State, R2Update
from langchain_r2.turns import needs_of
from langchain_r2.types import Allocation, Plan


def allocate_node(needs: Dependencies) -> Node:
    """Make the node."""

    def allocate(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        limits, turn = limits_of(runtime, state), state.get("turn")
        asked = AllocatorInput(
            query=state["query"],
            plan=state["plan"],
            deadline_s=limits.deadline_s,
            run_id=needs.recorded(state),
            digest=turn["digest"] if turn else "",
        )
        if state.get("rerun_of") is not None:
            made = AllocatorOutput(allocation=state["allocation"], attempts=[])  # taken over
        elif turn and turn["model"]:
            allocation = uniform_allocation(state["plan"], turn["model"], "allocated")
            made = AllocatorOutput(allocation=allocation, attempts=[])
        else:
            budget = yield from needs.budget(state, limits)
            made = yield from allocated(needs, asked, config, budget)
            if len(state["plan"]["subtasks"]) == 1:
                made["allocation"] = fitted(made["allocation"], needs.pool, needs_of(turn))
        runtime.stream_writer({"event": "allocation", "allocation": made["allocation"]})
        return R2Update(
            allocation=made["allocation"],
            attempts=[*state["attempts"], *made["attempts"]],
            approval="asked" if limits.approve_plan else "not_asked",
        )

    return Node(allocate, "allocate")


def allocated(
    needs: Dependencies, asked: AllocatorInput, config: RunnableConfig, budget: Budget
) -> Flow[AllocatorOutput]:
    """Ask the allocator and check what it says; without money for it everything takes the default route."""
    try:
        made: AllocatorOutput = yield from routed(Invoke(needs.allocator, asked, config), budget)
    except BudgetError:
        route = needs.pool.middle("MLM").name
        return AllocatorOutput(
            allocation=uniform_allocation(asked["plan"], route, "default_route", "budget"), attempts=[]
        )
    return AllocatorOutput(allocation=checked(made["allocation"], asked["plan"], needs.pool), attempts=made["attempts"])


def checked(allocation: Allocation, plan: Plan, pool: ModelPool) -> Allocation:
    """The allocation with the default route for subtasks that are missing or name a model the pool does not have."""
    models, reasons, note = dict(allocation["models"]), dict(allocation["reasons"]), allocation["note"]
    for subtask in plan["subtasks"]:
        named = models.get(subtask["id"])
        if named is None or named not in pool:
            models[subtask["id"]] = pool.middle("MLM").name
            reasons[subtask["id"]] = "default_route"
            note = note or (f"not_allocated: {subtask['id']}" if named is None else f"unknown_model: {named!r:.80}")
    return Allocation(models=models, reasons=reasons, note=note)


def fitted(allocation: Allocation, pool: ModelPool, capabilities: Set[str]) -> Allocation:
    """The allocation with the nearest model that has some capabilities, a stronger one if there is one.

    Raises:
        BadValueError: No model of the pool has them.
    """
    models, note = dict(allocation["models"]), allocation["note"]
    for id_, model in models.items():
        fitting = pool.fitting(model, capabilities)
        if fitting is None:
            raise BadValueError("capabilities", sorted(capabilities), "those of a model of the pool")
        if fitting != model:
            models[id_], note = fitting, note or f"not_capable: {model!r:.80}"
    return Allocation(models=models, reasons=allocation["reasons"], note=note)
