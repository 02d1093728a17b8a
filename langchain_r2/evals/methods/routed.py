"""Methods that run the graph: the router, its parts switched off, and allocations that look at nothing.

``fixed`` runs our decomposer's plans with one model for all subtasks, ``random`` with one drawn for each; neither
reallocates. They show what the plans are worth without an allocator.
"""

import time

from langgraph.store.memory import InMemoryStore

from langchain_r2.config import R2Context
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.base import Method, Router, Run
from langchain_r2.graph import create_r2_graph
from langchain_r2.model_spec import ModelSpec
from langchain_r2.routers.base import Allocator
from langchain_r2.routers.baselines import FixedAllocator, RandomAllocator
from langchain_r2.run_record import traced

AS_ALLOCATED = R2Context(reallocate_upward=False, reallocate_downward=False, max_replans=0)
"""Limits of a run that keeps to its allocation."""


def routed(name: str, router: Router, context: R2Context) -> Method:
    """The graph with some limits."""
    graph = create_r2_graph(**router, store=InMemoryStore())

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        out = await graph.ainvoke({"query": item.query}, context=context)
        wall_s = time.perf_counter() - started
        ended = out["answer"], out["status"], out["error"], out["plan"]["subtasks"], out["attempts"], wall_s
        return Run(*ended, traced(out, wall_s))

    return Method(name, answer)


def ablations(router: Router) -> list[Method]:
    """The router with one kind of reallocation off."""
    return [
        routed("r2 no upward", router, R2Context(reallocate_upward=False)),
        routed("r2 no downward", router, R2Context(reallocate_downward=False)),
        routed("r2 no replan", router, R2Context(max_replans=0)),
    ]


def with_allocator(name: str, router: Router, allocator: Allocator) -> Method:
    """Our plans with another allocator, without reallocation."""
    return routed(name, {**router, "allocator": allocator}, AS_ALLOCATED)


def fixed(spec: ModelSpec, router: Router) -> Method:
    """Our plans with one model for all subtasks."""
    return with_allocator(f"fixed {spec.name}", router, FixedAllocator(router["pool"], spec.name))


def random_method(router: Router, seed: int = 0) -> Method:
    """Our plans with a model drawn at random for each subtask."""
    made = with_allocator("random", router, RandomAllocator(router["pool"], seed=seed))
    return made._replace(settings={"seed": seed})
