"""Node ``allocate``: every subtask of the plan gets a model."""

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.ledger import Budget
from langchain_r2.nodes.base import Dependencies, Node, limits_of
from langchain_r2.nodes.budgets import routed
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput, uniform_allocation
from langchain_r2.state import R2State, R2Update
from langchain_r2.types import Allocation, Plan


def allocate_node(needs: Dependencies) -> Node:
    """Make the node."""

    def allocate(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        limits = limits_of(runtime)
        asked = AllocatorInput(
            query=state["query"],
            plan=state["plan"],
            deadline_s=limits.deadline_s,
            run_id=needs.recorded(state),
        )
        budget = yield from needs.budget(state, limits)
        made = yield from allocated(needs, asked, config, budget)
        runtime.stream_writer({"event": "allocation", "allocation": made["allocation"]})
        return R2Update(allocation=made["allocation"], attempts=[*state["attempts"], *made["attempts"]])

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
