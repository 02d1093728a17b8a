"""Going on with a run that did not end: killed, cancelled, broken by an error, or waiting for a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot

from langchain_r2.approval import Action, Decision, Waiting, decision
from langchain_r2.call_ledger import CallLedgerStore, Run, committed
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError, UnknownThreadError
from langchain_r2.flow import Both, Flow, Invoke, arun, run
from langchain_r2.nodes.admission import run_input, run_output
from langchain_r2.nodes.base import Node, known_limits
from langchain_r2.nodes.decompose import query_in

Way = Literal["checkpoint", "again", "result"]
"""Go on from the checkpoint, run the question that was admitted again, or give the result that is there."""

Decisions: TypeAlias = Action | Decision | Mapping[str, Action | Decision]
"""One decision for all that a run asks, or one per question by its id; what none is given for is asked again."""

FIRST: Final = "decompose"
"""The node that admits runs."""


class Checkpoint(NamedTuple):
    """What a thread's newest checkpoint says."""

    run_id: str | None
    query: str | None
    """What is asked, as far as the checkpoint tells: a message, else ``query``."""
    is_input: bool
    """Whether it holds a question that no step has taken up yet."""
    created_at: float
    """Seconds since 1970."""


def resume(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    thread_id: str,
    *,
    decisions: Decisions | None = None,
    context: R2Context | None = None,
    config: RunnableConfig | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Go on with a thread's run where it stopped; a run that ended gives its result again.

    With a checkpointer, from its last checkpoint; else the admitted question is run again. Either way, calls whose
    reply is in the graph's call ledger are not made again. Nothing else may run the thread at the same time.

    A run that waits for a person goes on with ``decisions``; without, it asks again. What it asks stands in the result
    under ``__interrupt__``, and in :func:`waiting`.

    Args:
        graph: A router graph with a checkpointer, a call ledger, or both.
        thread_id: The ``thread_id`` that the run was invoked with.
        decisions: What somebody decided (:mod:`langchain_r2.approval`).
        context: The run's limits; None: those that it began with.
        config: Further configuration, such as callbacks.
        options: For the graph's ``invoke``, such as ``durability``.

    Returns:
        What the run gives, as ``invoke`` would have.

    Raises:
        UnknownThreadError: Nothing is known of the thread.
        BadValueError: The graph keeps nothing, or is no router graph; or ``decisions`` are none, or nobody waits for
            them.
    """
    return run(_resumed(graph, thread_id, decisions, context, config, options))


async def aresume(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    thread_id: str,
    *,
    decisions: Decisions | None = None,
    context: R2Context | None = None,
    config: RunnableConfig | None = None,
    **options: Any,
) -> dict[str, Any]:
    """:func:`resume` on an event loop."""
    return await arun(_resumed(graph, thread_id, decisions, context, config, options))


def waiting(graph: CompiledStateGraph[Any, Any, Any, Any], thread_id: str) -> list[Waiting]:
    """What a thread's run asks, and nobody has answered yet; empty where it waits for nobody."""
    return _requests(graph.get_state({"configurable": {"thread_id": thread_id}}))


async def awaiting(graph: CompiledStateGraph[Any, Any, Any, Any], thread_id: str) -> list[Waiting]:
    """:func:`waiting` on an event loop."""
    return _requests(await graph.aget_state({"configurable": {"thread_id": thread_id}}))


def _requests(snapshot: StateSnapshot) -> list[Waiting]:
    return [Waiting(asked.id, asked.value) for asked in snapshot.interrupts]


def _resumed(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    thread_id: str,
    decisions: Decisions | None,
    context: R2Context | None,
    config: RunnableConfig | None,
    options: Mapping[str, Any],
) -> Flow[dict[str, Any]]:
    ledger, keeps = ledger_of(graph), isinstance(graph.checkpointer, BaseCheckpointSaver)
    if ledger is None and not keeps:
        hint = "Give create_r2_graph a checkpointer, a ledger, or both."
        raise BadValueError("graph", graph.name, "one that keeps its runs", hint)
    thread: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    used = merge_configs(config, thread)
    known = (yield from committed(ledger.newest, thread_id)) if ledger else None
    snapshot = (yield Both(graph.get_state, graph.aget_state, (thread,))) if keeps else None
    checkpoint = read_checkpoint(snapshot) if snapshot else None
    way = way_on(known, checkpoint, keeps=keeps)
    if way is None:
        raise UnknownThreadError(thread_id)
    answers = None if decisions is None else _answers(decisions, snapshot if way == "checkpoint" else None)
    if known is not None and way == "result":
        return run_output(known.result or {})
    if known is not None and ledger is not None and _is_of(known, checkpoint, way) and known.state == "done":
        yield from committed(ledger.reopen, known.run_id)  # its result did not reach its thread
    asked: Any = run_input(known.input) if known is not None and way == "again" else answers
    limits = context or (known_limits(known.context) if known else None)
    output: dict[str, Any] = yield Invoke(graph, asked, used, None, {**options, "context": limits})
    return output


def _answers(decisions: Decisions, snapshot: StateSnapshot | None) -> Command[Any]:
    """The decisions as LangGraph takes them.

    Raises:
        BadValueError: One is none, or nobody waits for it.
    """
    ids = [asked.id for asked in snapshot.interrupts] if snapshot else []
    by_id: dict[str, Any]
    if isinstance(decisions, Mapping) and "action" not in decisions:
        by_id = dict(decisions)
    else:
        by_id = dict.fromkeys(ids, decisions)
    if not by_id or (by_id.keys() - set(ids)):
        hint = "waiting(graph, thread_id) shows what the run asks."
        raise BadValueError("decisions", decisions, ids or "none: the run waits for nobody", hint)
    return Command(resume={id_: decision(made) for id_, made in by_id.items()})


def way_on(known: Run | None, checkpoint: Checkpoint | None, *, keeps: bool) -> Way | None:
    """How to go on, from what ledger and checkpointer know; None where they know nothing.

    Whether the newest checkpoint has a next node is not asked: between the last write of a step and the checkpoint
    after it there is none, although the run has not ended.

    Args:
        known: The thread's newest run in the ledger.
        checkpoint: The thread's newest checkpoint.
        keeps: Whether there is a checkpointer.
    """
    if known is None:
        return "checkpoint" if checkpoint else None
    if checkpoint is None:
        return "result" if known.state == "done" and not keeps else "again"
    if known.run_id == checkpoint.run_id and not checkpoint.is_input:
        return "checkpoint"
    if known.admitted_at < checkpoint.created_at:
        return "checkpoint"  # of a question that was not admitted yet
    # Admitted after the checkpoint: its own question, or one that no checkpoint was written of.
    return "checkpoint" if checkpoint.is_input and checkpoint.query == known.input["query"] else "again"


def _is_of(known: Run, checkpoint: Checkpoint | None, way: Way) -> bool:
    """Whether what is gone on with is the run that the ledger has, and has yet to be admitted again."""
    return way == "again" or (checkpoint is not None and checkpoint.is_input and _after(known, checkpoint))


def _after(known: Run, checkpoint: Checkpoint) -> bool:
    return known.admitted_at >= checkpoint.created_at


def read_checkpoint(snapshot: StateSnapshot) -> Checkpoint | None:
    """The newest checkpoint of a thread; None where there is none."""
    if snapshot.created_at is None:
        return None
    values = snapshot.values
    asked = query_in(values)[0]
    is_input = (snapshot.metadata or {}).get("source") == "input"
    return Checkpoint(
        run_id=values.get("run_id"),
        query=asked if isinstance(asked, str) else None,
        is_input=is_input,
        created_at=datetime.fromisoformat(snapshot.created_at).timestamp(),
    )


def ledger_of(graph: CompiledStateGraph[Any, Any, Any, Any]) -> CallLedgerStore | None:
    """The call ledger of a router graph.

    Raises:
        BadValueError: It is none.
    """
    first = getattr(graph, "nodes", {}).get(FIRST)
    node = getattr(first, "bound", None)
    if not isinstance(node, Node):
        raise BadValueError("graph", getattr(graph, "name", graph), "what create_r2_graph returned")
    return node.ledger
