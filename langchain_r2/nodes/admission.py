"""A run's id: written into the call ledger before the first call that is paid, and its result after the last."""

import uuid
from dataclasses import asdict
from typing import Any

from langchain_core.messages import messages_from_dict, messages_to_dict
from langchain_core.runnables import RunnableConfig

from langchain_r2.call_ledger import CallLedgerStore, committed
from langchain_r2.config import R2Context
from langchain_r2.flow import Flow
from langchain_r2.state import R2State, R2Update


def admitted(
    ledger: CallLedgerStore | None,
    state: R2State,
    query: str,
    config: RunnableConfig,
    limits: R2Context,
    *,
    from_message: bool,
) -> Flow[str]:
    """The id of a run that begins, or goes on; without a ledger a random one.

    Args:
        ledger: Where runs are admitted.
        state: What the run was given.
        query: The query in it.
        config: Names the thread.
        limits: Of the run.
        from_message: Whether the query came as a message; then all messages are kept.
    """
    if ledger is None:
        return uuid.uuid4().hex
    thread = (config.get("configurable") or {}).get("thread_id")
    asked: dict[str, Any] = {"query": query}
    if from_message:
        asked["messages"] = messages_to_dict(state["messages"])
    for part in ("turn", "rerun"):
        if value := state.get(part):
            asked[part] = value
    admission = yield from committed(ledger.admit, None if thread is None else str(thread), asked, asdict(limits))
    return admission.run_id


def finished(ledger: CallLedgerStore | None, state: R2State, update: R2Update) -> Flow[None]:
    """Keep what a run gives."""
    if ledger is None or not state.get("run_id"):
        return
    result: dict[str, Any] = {**state, **update}
    result["messages"] = messages_to_dict([*state["messages"], *update.get("messages", [])])
    yield from committed(ledger.finish, state["run_id"], result)


def run_input(asked: dict[str, Any]) -> dict[str, Any]:
    """The graph's input from what the ledger says that a run was asked."""
    more: dict[str, Any] = {part: asked[part] for part in ("turn", "rerun") if part in asked}
    if "messages" in asked:
        return {"messages": messages_from_dict(asked["messages"]), **more}
    return {"query": asked["query"], **more}


def run_output(result: dict[str, Any]) -> dict[str, Any]:
    """The graph's output from the result in the ledger."""
    return {**result, "messages": messages_from_dict(result["messages"])}
