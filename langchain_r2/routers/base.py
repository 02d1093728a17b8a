"""What a decomposer and an allocator are: LangChain runnables with typed input and output.

Any runnable of these types can be given to ``create_r2_graph``. The classes here add what all of ours share: one flow
for ``invoke`` and ``ainvoke``, callbacks and configuration passed on, attempts reported so that the router pays.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, NotRequired, TypeAlias, TypeVar, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config
from typing_extensions import TypedDict

from langchain_r2.errors import BadValueError
from langchain_r2.flow import Flow, arun, run
from langchain_r2.ledger import Budget
from langchain_r2.types import Allocation, Attempt, Plan, Reason, Subtask

In = TypeVar("In")
Out = TypeVar("Out")


class DecomposerInput(TypedDict):
    """What is to be decomposed."""

    query: str
    budget_usd: NotRequired[float | None]
    """What may be spent on it; None or absent: no limit."""
    budget: NotRequired[Any]
    """The :class:`~langchain_r2.ledger.Budget` that its calls share with others; takes the place of ``budget_usd``."""
    subtask_id: NotRequired[str | None]
    """Set in a replan: the subtask whose text the query is."""
    deadline_s: NotRequired[float | None]
    """Seconds that one call may take; None or absent: no bound."""
    run_id: NotRequired[str | None]
    """The run that calls are written down under in the call ledger; None or absent: nowhere."""
    digest: NotRequired[str]
    """What was said before the query in its conversation, cut to a bound; empty or absent: nothing."""


class DecomposerOutput(TypedDict):
    """The plan, and what it cost."""

    plan: Plan
    attempts: list[Attempt]


class AllocatorInput(TypedDict):
    """What is to be allocated."""

    query: str
    plan: Plan
    budget_usd: NotRequired[float | None]
    budget: NotRequired[Any]
    subtask_id: NotRequired[str | None]
    deadline_s: NotRequired[float | None]
    run_id: NotRequired[str | None]
    digest: NotRequired[str]


class AllocatorOutput(TypedDict):
    """The allocation, and what it cost."""

    allocation: Allocation
    attempts: list[Attempt]


Decomposer: TypeAlias = Runnable[DecomposerInput, DecomposerOutput]
Allocator: TypeAlias = Runnable[AllocatorInput, AllocatorOutput]


class FlowRunnable(Runnable[In, Out], ABC, Generic[In, Out]):
    """A runnable whose work is a flow: synchronous and asynchronous calls share it."""

    @abstractmethod
    def flow(self, value: In, config: RunnableConfig) -> Flow[Out]:
        """The work; ``config`` is for the calls that it makes."""

    def invoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:  # noqa: A002, ARG002
        """Run in this thread."""

        def work(value: In, run_manager: Any, config: RunnableConfig) -> Out:  # noqa: ANN401 - LangChain's manager
            return run(self.flow(_whole(value, input), patch_config(config, callbacks=run_manager.get_child())))

        return self._call_with_config(work, _shown(input), ensure_config(config), run_type="chain")

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:  # noqa: A002, ARG002
        """Run on the event loop."""

        async def work(value: In, run_manager: Any, config: RunnableConfig) -> Out:  # noqa: ANN401 - LangChain's manager
            return await arun(self.flow(_whole(value, input), patch_config(config, callbacks=run_manager.get_child())))

        return await self._acall_with_config(work, _shown(input), ensure_config(config), run_type="chain")


def _shown(value: In) -> In:
    """An input as traces show it: data only."""
    if not isinstance(value, dict) or "budget" not in value:
        return value
    shown: Any = {name: part for name, part in value.items() if name != "budget"}
    return cast("In", shown)


def _whole(shown: In, value: In) -> In:
    """The input that ``_shown`` was made of."""
    return value if isinstance(value, dict) else shown


def budget_of(value: Mapping[str, Any]) -> Budget:
    """What a router may spend: the budget that it shares, else one of its own."""
    shared = value.get("budget")
    return shared if isinstance(shared, Budget) else Budget(value.get("budget_usd"))


def checked_query(value: object) -> str:
    """The query of an input.

    Raises:
        BadValueError: It is not a text, or empty.
    """
    query = value.get("query") if isinstance(value, dict) else value
    if not isinstance(query, str) or not query.strip():
        raise BadValueError("query", query, "a text that is not empty")
    return query


def whole_query_plan(query: str, rejected: list[str]) -> Plan:
    """The plan that does not decompose: one subtask, the query itself."""
    whole = Subtask(id="1", text=query, depends_on=[])
    return Plan(subtasks=[whole], parse="clean", confidence=None, rejected=rejected)


def uniform_allocation(plan: Plan, model: str, reason: Reason, note: str | None = None) -> Allocation:
    """Every subtask to the same model."""
    ids = [s["id"] for s in plan["subtasks"]]
    return Allocation(models=dict.fromkeys(ids, model), reasons=dict.fromkeys(ids, reason), note=note)
