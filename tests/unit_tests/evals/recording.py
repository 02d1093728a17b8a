"""Runs of scripted models, recorded: what the tests of recorded runs share."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableLambda

from langchain_r2 import ModelPool, create_r2_graph
from langchain_r2.config import R2Context
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.run_record import run_record
from langchain_r2.testing import scripted_message, scripted_pool
from langchain_r2.types import Allocation, RunRecord

PLAN = "1: ask alpha\n2: ask #1 beta"


def _model(name: str, sure: float) -> Any:
    def reply(prompt: str) -> Any:
        if prompt.startswith("plan"):
            return "1: half\n2: #1 whole" if "ask alpha" in prompt.partition(":")[2] else PLAN
        answer = {"m1": "odd", "m2": "even", "m3": "even"}[name]
        return scripted_message(f"answer: {answer}", prompt, sure)

    return reply


def pool_of(sure: Mapping[str, float]) -> ModelPool:
    """Three models that differ in how sure they are; the first gives another answer."""
    return scripted_pool(*(_model(name, sure.get(name, 0.99)) for name in ("m1", "m2", "m3")), prompt_style="bare")


def allocator_of(models: Mapping[str, str]) -> Any:
    """Always the same models; m3 in sub-plans."""

    def allocate(value: Any) -> Any:
        ids = [s["id"] for s in value["plan"]["subtasks"]]
        given = {id_: "m3" if value.get("subtask_id") else models.get(id_, "m3") for id_ in ids}
        return {
            "allocation": Allocation(models=given, reasons=dict.fromkeys(ids, "allocated"), note=None),
            "attempts": [],
        }

    return RunnableLambda(allocate)


def recorded(
    models: Mapping[str, str],
    *,
    query: str = "q",
    sure: Mapping[str, float] | None = None,
    for_training: bool = True,
    **limits: Any,
) -> RunRecord:
    """The record of a run of two subtasks; m1 is not sure, unless told."""
    pool = pool_of({"m1": 0.1, **(sure or {})})
    graph = create_r2_graph(pool, decomposer=PromptedDecomposer(pool["m3"]), allocator=allocator_of(models))
    state = graph.invoke({"query": query}, context=R2Context(**{"max_replans": 0, **limits}))
    name = "-".join([query, *models.values()])
    return run_record(state, id=name, wall_s=0.1, for_training=for_training)
