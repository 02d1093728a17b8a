"""Wires the nodes and edges into the router graph.

Source: METHOD 5 (the paper's inference pipeline). Deviations: the plan is a graph whose independent parts run at the
same time, reallocation goes both ways on evidence, and a subtask may be decomposed in turn.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from langchain_r2.call_ledger import CallLedgerStore
from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.discretion import DiscreetGraph, discreet
from langchain_r2.edges import Edge, allocated, approved, assess, climbs, reconsider, replanned
from langchain_r2.errors import BadValueError
from langchain_r2.ledger import Budget
from langchain_r2.nodes.aggregate import aggregate_node
from langchain_r2.nodes.allocate import allocate_node
from langchain_r2.nodes.approve import approve_node
from langchain_r2.nodes.base import Dependencies, SubtaskContext
from langchain_r2.nodes.budgets import RunBudgets
from langchain_r2.nodes.decompose import decompose_node
from langchain_r2.nodes.execute_plan import execute_plan_node
from langchain_r2.nodes.execute_subtask import execute_subtask_node
from langchain_r2.nodes.reallocate import reallocate_downward_node, reallocate_upward_node
from langchain_r2.nodes.replan import replan_node
from langchain_r2.nodes.send_plan import DONE, SCHEDULE, SUBTASK, ready, schedule_node, subtask_node
from langchain_r2.pool import ModelPool
from langchain_r2.records import kind_of as masked_text
from langchain_r2.routers.base import Allocator, Decomposer
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.serializer import hardened
from langchain_r2.state import R2Input, R2Output, R2State, SubtaskState
from langchain_r2.transport import Transport
from langchain_r2.types import AggregationMode

Execution = Literal["tasks", "send"]
"""How the subtasks of a plan are run."""

MAX_CONCURRENCY = 256
"""Subtasks that a run has under way at most; one that waits for another's answer counts. ``max_concurrency`` of a run's
config takes its place."""


def create_r2_graph(  # noqa: PLR0913 - the library's entry: all but the pool are keyword-only and optional
    pool: ModelPool,
    *,
    decomposer: Decomposer | None = None,
    allocator: Allocator | None = None,
    confidence: Confidence | None = None,
    transport: Transport | None = None,
    budget: Budget | None = None,
    execution: Execution = "tasks",
    aggregation: AggregationMode = "last",
    aggregator: str | None = None,
    floor: str | None = None,
    kind_of: Callable[[str], str] = masked_text,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    ledger: CallLedgerStore | None = None,
    name: str = "r2",
) -> CompiledStateGraph[R2State, R2Context, R2Input, R2Output]:
    """Make the router graph: decompose, allocate, execute with reallocation, aggregate.

    Invoke it with ``{"query": "..."}`` or with ``messages``; limits of a run go into ``context`` (:class:`R2Context`),
    also whether it asks a person for approval (:mod:`langchain_r2.approval`).

    Args:
        pool: The models, weakest first.
        decomposer: Makes plans; None: the pool's strongest model is asked, with instructions.
        allocator: Gives subtasks to models; None: by the cheapest model's own confidence, with thresholds that nobody
            calibrated (a warning says so).
        confidence: How sure an answer must be; None: the sequence probability, uncalibrated, 0.5.
        transport: How calls are made; None: three tries.
        budget: What all runs of the graph may spend together, besides the budget of each.
        execution: ``tasks``: all subtasks in one node, none waiting for a slow sibling. ``send``: every subtask a node
            of its own, in waves that wait for their slowest; for those who want to see each in Studio.
        aggregation: How the answers of the subtasks become the answer.
        aggregator: Pool model that writes the answer with ``aggregation="llm"``; None: the middle of the MLM group.
        floor: Pool model below which nothing is reallocated downward.
        kind_of: From a subtask's text to its kind; subtasks of one kind share a record of how models did on them.
        checkpointer: Any LangGraph checkpointer. With LangGraph's default serializer it is given one that reads only
            plain data and messages (:mod:`langchain_r2.serializer`).
        store: Any LangGraph store; records of models are kept in it from query to query.
        cache: Any LangGraph cache, for nodes with a cache policy; those made here have none, since what is cached
            would be billed again. Its serializer as the checkpointer's.
        ledger: Where runs and calls are written down, so that :func:`~langchain_r2.resume` goes on with a killed run
            without paying for a reply twice, such as a ``CallLedger``. None: nowhere.
        name: The compiled graph's name.

    Raises:
        BadValueError: A value that is not allowed.
        UnknownModelError: The pool has no model ``floor`` or ``aggregator``, or not the confidence's verifier.
    """
    if not isinstance(pool, ModelPool):
        raise BadValueError("pool", pool, "a ModelPool", 'Use ModelPool([...]) or ModelPool.from_toml("pool.toml").')
    if aggregation not in get_args(AggregationMode):
        raise BadValueError("aggregation", aggregation, get_args(AggregationMode))
    if execution not in get_args(Execution):
        raise BadValueError("execution", execution, get_args(Execution))
    if isinstance(checkpointer, BaseCheckpointSaver):
        checkpointer = discreet(hardened(checkpointer, "checkpointer"))
    elif checkpointer not in (None, True, False):
        allowed, hint = "a LangGraph checkpointer", "Enter `with SqliteSaver.from_conn_string(...) as saver` first."
        raise BadValueError("checkpointer", checkpointer, allowed, hint)
    confidence = confidence or Confidence()
    confidence.check(pool)
    transport = transport or Transport()
    ledger = _with_ledger(ledger, transport, decomposer, allocator)
    if allocator is None:
        warnings.warn(
            "The allocator's thresholds (0.9 and 0.6 on an uncalibrated probability) were not calibrated for this pool."
            " Run `langchain-r2 calibrate --pool FILE`, then use create_r2_graph(**calibrated_router(pool, RESULT)) of "
            "langchain_r2.calibrate.",
            UserWarning,
            stacklevel=2,
        )
        allocator = CalibratedAllocator(pool, transport=transport)
    needs = Dependencies(
        pool=pool,
        decomposer=decomposer or PromptedDecomposer(pool.strongest, transport=transport),
        allocator=allocator,
        confidence=confidence,
        transport=transport,
        aggregation=aggregation,
        aggregator=pool[aggregator].name if aggregator else pool.middle("MLM").name,
        floor=pool[floor].name if floor else None,
        kind_of=kind_of,
        ledger=ledger,
        budgets=RunBudgets(budget, ledger),
    )
    builder = _wired(needs, execution)
    cache = hardened(cache, "cache") if isinstance(cache, BaseCache) else cache
    graph = builder.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)
    graph.__class__ = DiscreetGraph  # the builder makes no other class than its own
    return graph.with_config(max_concurrency=MAX_CONCURRENCY)


def _wired(needs: Dependencies, execution: Execution) -> StateGraph[R2State, R2Context, R2Input, R2Output]:
    """The graph's nodes and edges."""
    builder = StateGraph(R2State, R2Context, input_schema=R2Input, output_schema=R2Output)
    builder.add_node("decompose", decompose_node(needs))
    builder.add_node("allocate", allocate_node(needs))
    builder.add_node("approve", approve_node(needs))
    builder.add_node("aggregate", aggregate_node(needs))
    builder.add_edge(START, "decompose")
    builder.add_edge("decompose", "allocate")
    first = "execute_plan" if execution == "tasks" else SCHEDULE
    builder.add_conditional_edges("allocate", Edge(allocated), {"approve": "approve", "execute": first})
    builder.add_conditional_edges("approve", Edge(approved), {"execute": first, "reject": "aggregate"})
    if execution == "tasks":
        builder.add_node("execute_plan", execute_plan_node(needs, create_subtask_graph(needs)))
        builder.add_edge("execute_plan", "aggregate")
    else:
        builder.add_node(SUBTASK, subtask_node(needs, create_subtask_graph(needs)))
        builder.add_node(SCHEDULE, schedule_node())
        builder.add_conditional_edges(SCHEDULE, Edge(ready), [SUBTASK, DONE])
        builder.add_edge(SUBTASK, SCHEDULE)
    builder.add_edge("aggregate", END)
    return builder


def _with_ledger(ledger: CallLedgerStore | None, transport: Transport, *routers: object) -> CallLedgerStore | None:
    """Give a ledger to every transport of a graph; without one, that of the graph's transport."""
    ledger = ledger or transport.ledger
    for used in (transport, *(getattr(router, "transport", None) for router in routers)):
        if ledger is None or not isinstance(used, Transport):
            continue
        if used.ledger not in (None, ledger):
            hint = "Give the router that has another a Transport of its own."
            raise BadValueError("ledger of a transport", used.ledger, "the graph's ledger, or none yet", hint)
        used.ledger = ledger
    return ledger


def create_subtask_graph(
    needs: Dependencies,
) -> CompiledStateGraph[SubtaskState, SubtaskContext, SubtaskState, SubtaskState]:
    """Make the graph that one subtask runs: try, judge, change the model or the plan."""
    builder = StateGraph(SubtaskState, SubtaskContext)
    builder.add_node("execute_subtask", execute_subtask_node(needs))
    builder.add_node("reallocate_downward", reallocate_downward_node(needs))
    builder.add_node("reallocate_upward", reallocate_upward_node(needs))
    builder.add_node("replan", replan_node(needs))
    builder.add_conditional_edges(START, Edge(reconsider), ["execute_subtask", "reallocate_downward"])
    builder.add_edge("reallocate_downward", "execute_subtask")
    builder.add_conditional_edges("execute_subtask", Edge(assess), ["reallocate_upward", "replan", END])
    builder.add_conditional_edges("reallocate_upward", Edge(climbs), ["execute_subtask", END])
    builder.add_conditional_edges("replan", Edge(replanned), ["reallocate_upward", END])
    return builder.compile(name="subtask")
