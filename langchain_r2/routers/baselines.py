"""Routers that decide without looking: what a trained router has to beat."""

import random

from langchain_core.runnables import RunnableConfig

from langchain_r2.flow import Flow
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import (
    AllocatorInput,
    AllocatorOutput,
    DecomposerInput,
    DecomposerOutput,
    FlowRunnable,
    checked_query,
    uniform_allocation,
    whole_query_plan,
)
from langchain_r2.types import Allocation


class NoDecomposer(FlowRunnable[DecomposerInput, DecomposerOutput]):
    """The query itself is the only subtask."""

    def flow(self, value: DecomposerInput, config: RunnableConfig) -> Flow[DecomposerOutput]:
        """Return at once."""
        del config
        yield from ()  # a flow is a generator
        return DecomposerOutput(plan=whole_query_plan(checked_query(value), []), attempts=[])


class FixedAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """One model for all subtasks; see :func:`cheapest` and :func:`strongest`."""

    def __init__(self, pool: ModelPool, model: str) -> None:
        """Set the model.

        Raises:
            UnknownModelError: The pool does not have it.
        """
        self.model = pool[model].name

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Return at once."""
        del config
        yield from ()  # a flow is a generator
        return AllocatorOutput(allocation=uniform_allocation(value["plan"], self.model, "allocated"), attempts=[])


def cheapest(pool: ModelPool) -> FixedAllocator:
    """Everything to the first model of the pool."""
    return FixedAllocator(pool, pool.cheapest.name)


def strongest(pool: ModelPool) -> FixedAllocator:
    """Everything to the last model of the pool."""
    return FixedAllocator(pool, pool.strongest.name)


class RandomAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Every subtask to a model drawn at random; the same seed and query draw the same."""

    def __init__(self, pool: ModelPool, *, seed: int = 0) -> None:
        """Set the pool and the seed."""
        self.pool, self.seed = pool, seed

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Return at once."""
        del config
        yield from ()  # a flow is a generator
        rng = random.Random(f"{self.seed}/{value['query']}")  # noqa: S311 - a baseline, not a secret
        ids = [s["id"] for s in value["plan"]["subtasks"]]
        drawn = {id_: rng.choice(self.pool.names) for id_ in ids}
        allocation = Allocation(models=drawn, reasons=dict.fromkeys(ids, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=[])
