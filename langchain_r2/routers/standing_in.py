"""An allocator that was trained on one pool, in another: of the models that it names, others stand in for some."""

from collections.abc import Mapping

from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import BadValueError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, AllocatorInput, AllocatorOutput
from langchain_r2.routers.wrapping import WrappingAllocator
from langchain_r2.types import Allocation


class StandInAllocator(WrappingAllocator):
    """Asks an allocator about the pool that it knows; what it names is run by its stand-in in this pool."""

    def __init__(self, pool: ModelPool, trained: Allocator, stand_ins: Mapping[str, str]) -> None:
        """Set the stand-ins.

        Args:
            pool: Has the stand-ins.
            trained: Decides, by the models of its own pool.
            stand_ins: From every model that it may name to one of the pool.

        Raises:
            UnknownModelError: The pool has no member of that name.
        """
        super().__init__(trained)
        self.stand_ins = {name: pool[member].name for name, member in stand_ins.items()}

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Allocate.

        Raises:
            BadValueError: The allocator named a model that nobody stands in for.
        """
        made: AllocatorOutput = yield Invoke(self.allocator, value, config)
        told = made["allocation"]
        if missing := sorted(set(told["models"].values()) - self.stand_ins.keys()):
            raise BadValueError("model without a stand-in", missing[0], sorted(self.stand_ins))
        models = {id_: self.stand_ins[name] for id_, name in told["models"].items()}
        return AllocatorOutput(
            allocation=Allocation(models=models, reasons=told["reasons"], note=told["note"]), attempts=made["attempts"]
        )
