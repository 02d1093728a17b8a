"""Node ``decompose``: the query becomes a plan, or an earlier run's plan is taken over."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from langchain_r2.approval import check_asks
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.nodes.admission import admitted
from langchain_r2.nodes.base import Dependencies, Node, limits_of, turn_id
from langchain_r2.nodes.budgets import routed
from langchain_r2.rerouting import check_rerun
from langchain_r2.routers.base import DecomposerInput, DecomposerOutput, whole_query_plan
from langchain_r2.state import R2State, R2Update
from langchain_r2.types import Rerun


def decompose_node(needs: Dependencies) -> Node:
    """Make the node."""

    def decompose(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        limits, rerun = limits_of(runtime), state.get("rerun")
        if limits.asks:
            check_asks(config)
        if rerun:
            check_rerun(rerun, needs.pool)
        query, from_message = (rerun["query"], False) if rerun else read_query(state)
        run_id = yield from admitted(needs.ledger, state, query, config, limits, from_message=from_message)
        start = R2Update(
            run_id=run_id,
            query=query,
            rerun_of=rerun["of"] if rerun else None,
            limits=asdict(limits),
            approval="not_asked",
            results=[],
            answer=None,
            error=None,
            status="ok",
        )
        if not from_message and not _is_shown(state, rerun):
            start["messages"] = [HumanMessage(query)]
        if rerun:
            made = DecomposerOutput(plan=rerun["plan"], attempts=[])
            start["allocation"], start["results"] = rerun["allocation"], Overwrite(rerun["kept"])
        else:
            made = yield from _decomposed(needs, state, query, run_id, config, limits)
        runtime.stream_writer({"event": "plan", "plan": made["plan"]})
        start["plan"], start["attempts"] = made["plan"], made["attempts"]
        return start

    return Node(decompose, "decompose", ledger=needs.ledger)


def _decomposed(
    needs: Dependencies, state: R2State, query: str, run_id: str, config: RunnableConfig, limits: R2Context
) -> Flow[DecomposerOutput]:
    """The plan of a query; without money for it, the query itself."""
    turn = state.get("turn")
    if turn and turn["whole"]:
        return DecomposerOutput(plan=whole_query_plan(query, []), attempts=[])
    asked = DecomposerInput(
        query=query,
        deadline_s=limits.deadline_s,
        run_id=run_id if needs.ledger else None,
        digest=turn["digest"] if turn else "",
    )
    try:
        budget = yield from needs.budgets.of(run_id, limits, ())
        made: DecomposerOutput = yield from routed(Invoke(needs.decomposer, asked, config), budget)
    except BudgetError:
        return DecomposerOutput(plan=whole_query_plan(query, ["budget"]), attempts=[])
    return made


def _is_shown(state: R2State, rerun: Rerun | None) -> bool:
    """Whether the thread already has the question of a run that is gone over again, and its answer."""
    return rerun is not None and any(message.id == turn_id(rerun["of"]) for message in state.get("messages") or [])


def read_query(state: R2State) -> tuple[str, bool]:
    """The query of a run, and whether it came as a message.

    Raises:
        BadValueError: There is none, or it is empty.
    """
    query, from_message = query_in(state)
    if not isinstance(query, str) or not query.strip():
        hint = 'Invoke the graph with {"query": "..."} or with messages that end with the user\'s.'
        raise BadValueError("query", query, "a text that is not empty", hint)
    return query, from_message


def query_in(state: Mapping[str, Any]) -> tuple[object, bool]:
    """What a state asks, None where it asks nothing, and whether that is a message.

    The last message counts if it is the user's: on a thread that goes on, ``query`` may still be an earlier run's.
    Without a query, the user's last one counts, whatever was said behind it: a supervisor hands over with a tool call.
    """
    messages = state.get("messages") or []
    said = [message for message in messages if isinstance(message, HumanMessage)]
    if said and (said[-1] is messages[-1] or state.get("query") is None):
        return str(said[-1].text), True
    return state.get("query"), False
