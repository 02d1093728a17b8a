"""What allocators share that ask another one and change its word."""

from abc import ABC

from langchain_r2.routers.base import Allocator, AllocatorInput, AllocatorOutput, FlowRunnable
from langchain_r2.routers.bounds import router_worst_usd


class WrappingAllocator(FlowRunnable[AllocatorInput, AllocatorOutput], ABC):
    """The calls are the wrapped one's: so are their transport, which a graph gives its ledger, and their bound."""

    def __init__(self, allocator: Allocator) -> None:
        """Wrap an allocator."""
        self.allocator = allocator

    @property
    def transport(self) -> object:
        """The wrapped allocator's; None where it has none."""
        return getattr(self.allocator, "transport", None)

    def worst_usd(self, tokens: int, subtasks: int) -> float | None:
        """What asking it costs at most, see :func:`~langchain_r2.routers.bounds.router_worst_usd`."""
        return router_worst_usd(self.allocator, tokens, subtasks)
