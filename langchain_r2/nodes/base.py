"""What nodes share: their dependencies, what a subtask run carries along, and how a flow becomes a node."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.runtime import Runtime, get_runtime
from langgraph.store.base import BaseStore

from langchain_r2.call_ledger import CallLedgerStore
from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.estimate import Estimator
from langchain_r2.flow import Flow, arun, run
from langchain_r2.ledger import Budget, bill
from langchain_r2.nodes.budgets import RunBudgets
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, Decomposer
from langchain_r2.state import R2State, SubtaskState
from langchain_r2.transport import Transport
from langchain_r2.turns import needs_of
from langchain_r2.types import AggregationMode, ChatTurn, Move, MoveKind, SubtaskResult


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What a graph is made of; see ``create_r2_graph`` for each."""

    pool: ModelPool
    decomposer: Decomposer
    allocator: Allocator
    confidence: Confidence
    transport: Transport
    aggregation: AggregationMode
    aggregator: str
    floor: str | None
    kind_of: Callable[[str], str]
    ledger: CallLedgerStore | None = None
    budgets: RunBudgets = field(default_factory=RunBudgets)

    def budget(
        self,
        state: R2State,
        limits: R2Context,
    ) -> Flow[Budget]:
        """The run's budget."""
        return self.budgets.of(state["run_id"], limits, state["attempts"])

    def estimator(self, limits: R2Context) -> Estimator:
        """What estimates plans of this graph under a run's limits."""
        return Estimator(
            pool=self.pool,
            decomposer=self.decomposer,
            allocator=self.allocator,
            confidence=self.confidence,
            max_tries=self.transport.max_tries,
            limits=limits,
            floor=self.floor,
            aggregator=self.aggregator if self.aggregation == "llm" else None,
        )

    def recorded(self, state: R2State) -> str | None:
        """The run that a call is written down under; None without a ledger."""
        return state.get("run_id") if self.ledger else None


@dataclass(frozen=True, kw_only=True)
class SubtaskContext:
    """What one run of the subtask graph shares with its siblings."""

    limits: R2Context
    budget: Budget
    emit: Callable[[Any], None] = field(compare=False)
    """The router graph's custom stream: a graph that is called inside a node has none of its own."""
    router_usd: float = 0.0
    """What decomposing and allocating this query cost: the estimate for doing it again for a subtask."""
    store: BaseStore | None = field(default=None, compare=False)
    run_id: str | None = None
    """What its calls are written down under in the call ledger; None: nowhere."""
    turn: ChatTurn | None = None
    """The turn of a conversation that the run answers, if it answers one."""


_NO_LIMITS: Final = R2Context()

NodeFlow = Callable[[Any, Runtime[Any], RunnableConfig], Flow[Any]]


class Node(RunnableLambda[Any, Any]):
    """A node that works synchronously and asynchronously, made of one flow; it adds no level of its own to traces."""

    def __init__(
        self,
        work: NodeFlow,
        name: str,
        inner: Runnable[Any, Any] | None = None,
        ledger: CallLedgerStore | None = None,
    ) -> None:
        """Make a node of a flow; ``inner`` is the graph that it runs, ``ledger`` where it admits runs, if any."""

        def call(state: Any, config: RunnableConfig) -> Any:  # noqa: ANN401 - the state of either graph
            _inner = inner  # named in this body, so that drawing with xray finds it
            return run(work(state, get_runtime(), config))

        async def acall(state: Any, config: RunnableConfig) -> Any:  # noqa: ANN401 - the state of either graph
            return await arun(work(state, get_runtime(), config))

        super().__init__(call, acall, name=name)
        self._call, self._acall = call, acall
        self.ledger = ledger

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401, ARG002
        """Run in this thread."""
        return self._call(input, config or RunnableConfig())

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401, ARG002
        """Run on the event loop."""
        return await self._acall(input, config or RunnableConfig())


def with_move(
    state: SubtaskState, kind: MoveKind, to: str | None, reason: str, *, approved: bool = False
) -> list[Move]:
    """A subtask's moves with one more, made now."""
    tries = [a for a in state["attempts"] if a["role"] == "executor"]
    move = Move(
        kind=kind,
        subtask_id=state["id"],
        model=state["model"],
        to=to,
        reason=reason,
        confidence=tries[-1]["confidence"] if tries else None,
        at=time.time(),
    )
    if approved:
        move["approved"] = True
    return [*state.get("moves", []), move]


def told_of(move: Move) -> dict[str, Any]:
    """What a tracer is told of a move, by the names that a model call has."""
    names = {"direction": "kind", "reason": "reason", "from": "model", "model": "to", "confidence": "confidence"}
    return {name: move[key] for name, key in names.items()}  # type: ignore[literal-required]


def told_of_result(result: SubtaskResult) -> dict[str, Any]:
    """What a tracer is told of a subtask that has ended."""
    verdict, total = result["verdict"], bill(result["attempts"])
    shown = {"subtask": result["id"], "model": result["model"], "cost_usd": total.cost_usd, "calls": total.calls}
    return {**shown, "accepted": verdict["accepted"], "verdict": verdict["reason"]}


def limits_of(runtime: Runtime[Any], state: R2State | None = None) -> R2Context:
    """The run's limits: as the caller gives them, else as the run began with, else the defaults."""
    context = runtime.context
    if isinstance(context, R2Context):
        return context
    if context:
        return R2Context(**context)
    kept = state.get("limits") if state else None
    return known_limits(kept) if kept else _NO_LIMITS


def known_limits(kept: Mapping[str, Any]) -> R2Context:
    """Limits as they were written down; what this version does not know of them is left out."""
    names = {field.name for field in fields(R2Context)}
    return R2Context(**{name: value for name, value in kept.items() if name in names})


def capabilities(state: SubtaskState, context: SubtaskContext) -> frozenset[str]:
    """What a model must be able to do to try a subtask."""
    return needs_of(context.turn if state.get("verbatim") else None)


def turn_id(run_id: str) -> str:
    """The id of the message that a run ends with: who runs it again, or in part, ends with the same message."""
    return f"r2-{run_id}"


def asked_text(state: SubtaskState) -> str:
    """What a subtask asks, as a query of its own: its text, and the answers that it was given beside it."""
    given = "".join(f"\n{id_} = {answer}" for id_, answer in state["known"].items())
    return state["text"] + given
