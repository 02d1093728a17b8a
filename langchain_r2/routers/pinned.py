"""An allocator that is told which subtasks go where; another one decides on the rest."""

import re
from collections.abc import Mapping

from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import BadValueError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, AllocatorInput, AllocatorOutput, FlowRunnable
from langchain_r2.types import Allocation, Reason


class PinnedAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Sends subtasks whose text has a pattern to a member of the pool, such as a tool.

    The other allocator is asked about the whole plan, unless every subtask is pinned; of its answer, what is not pinned
    is taken.
    """

    def __init__(self, pool: ModelPool, pins: Mapping[str, str], *, otherwise: Allocator) -> None:
        """Set the pins.

        Args:
            pool: Has the members.
            pins: From a regular expression, searched in a subtask's text, to a member's name; the first that is found
                counts.
            otherwise: Decides on the other subtasks.

        Raises:
            UnknownModelError: The pool has no member of that name.
            BadValueError: A pattern is no regular expression.
        """
        self.otherwise = otherwise
        self.pins = [(_pattern(pattern), pool[name].name) for pattern, name in pins.items()]

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Allocate."""
        subtasks = value["plan"]["subtasks"]
        pinned = {s["id"]: member for s in subtasks if (member := self._pinned(s["text"], value["query"])) is not None}
        told: dict[str, Reason] = dict.fromkeys(pinned, "allocated")
        if len(pinned) == len(subtasks):
            allocation = Allocation(models=pinned, reasons=told, note=None)
            return AllocatorOutput(allocation=allocation, attempts=[])
        made: AllocatorOutput = yield Invoke(self.otherwise, value, config)
        rest = made["allocation"]
        allocation = Allocation(
            models={**rest["models"], **pinned}, reasons={**rest["reasons"], **told}, note=rest["note"]
        )
        return AllocatorOutput(allocation=allocation, attempts=made["attempts"])

    def _pinned(self, text: str, query: str) -> str | None:
        shown = text.replace("#query", query)
        return next((member for pattern, member in self.pins if pattern.search(shown)), None)


def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadValueError("pattern of a pin", pattern, "a regular expression", f"{error}.") from error
