"""An allocator that now and then goes a step cheaper than another one says, so that records show what that gives.

Records of a router alone say how the models that it chose did, and nothing of any other: from them nobody can learn
that a cheaper model would do. Where the cheaper one is not accepted, the upward edge repairs it as always.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import BadValueError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, AllocatorInput, AllocatorOutput
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.wrapping import WrappingAllocator
from langchain_r2.transport import Transport
from langchain_r2.types import Allocation


class ExploringAllocator(WrappingAllocator):
    """Takes another allocator's word, except for a share of the subtasks: these go to the next cheaper model."""

    def __init__(self, allocator: Allocator, pool: ModelPool, share: float, *, seed: int = 0) -> None:
        """Wrap an allocator.

        Args:
            allocator: The one that is asked.
            pool: Its pool.
            share: How many of the subtasks are explored, from 0 to 1. The same seed, query and subtask always are.
            seed: Another one explores others.

        Raises:
            BadValueError: ``share`` is not from 0 to 1.
        """
        if not 0 <= share <= 1:
            raise BadValueError("share of explored subtasks", share, "a number from 0 to 1")
        super().__init__(allocator)
        self.pool, self.share, self.seed = pool, share, seed

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Ask, then explore."""
        made: AllocatorOutput = yield Invoke(self.allocator, value, config)
        said = made["allocation"]
        models, reasons = dict(said["models"]), dict(said["reasons"])
        for id_, model in said["models"].items():
            cheaper = self.pool.down(model)
            if cheaper is not None and _drawn(f"{self.seed}/{value['query']}/{id_}") < self.share:
                models[id_], reasons[id_] = cheaper, "explored"
        allocation = Allocation(models=models, reasons=reasons, note=said["note"])
        return AllocatorOutput(allocation=allocation, attempts=made["attempts"])


def explored(router: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Arguments of ``create_r2_graph``, with an allocator that explores.

    Args:
        router: Has the ``pool``, and maybe ``allocator`` and ``transport``.
        share: How many of the subtasks are explored, from 0 to 1.
    """
    pool: ModelPool = router["pool"]
    transport = router.get("transport") or Transport()
    allocator = router.get("allocator") or CalibratedAllocator(pool, transport=transport)
    return {**router, "transport": transport, "allocator": ExploringAllocator(allocator, pool, share)}


def _drawn(text: str) -> float:
    """A number from 0 to below 1 that follows from a text: a run that is resumed explores the same."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8]) / 2**64
