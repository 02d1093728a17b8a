"""Node ``aggregate``: the answers of the subtasks become the answer."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.config import R2Context
from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow
from langchain_r2.ledger import Budget, bill
from langchain_r2.nodes.admission import finished
from langchain_r2.nodes.base import Dependencies, Node, limits_of, turn_id
from langchain_r2.parsing import joined, parse_answer
from langchain_r2.prompts import instruct, prompts_for
from langchain_r2.state import R2State, R2Update
from langchain_r2.transport import Call, Reply, annotate
from langchain_r2.turns import answer_of, is_answer, needs_of
from langchain_r2.types import Attempt, ChatTurn, Status, SubtaskResult


def aggregate_node(needs: Dependencies) -> Node:
    """Make the node."""

    def aggregate(state: R2State, runtime: Runtime[Any], config: RunnableConfig) -> Flow[R2Update]:
        results = state["results"]
        limits = limits_of(runtime, state)
        status, error = status_of(results)
        attempts: list[Attempt] = []
        answer = last_answer(results)
        if state.get("approval") == "rejected":
            status, error, answer = "rejected", state["error"], None
        elif needs.aggregation == "join":
            answer = joined(r["answer"] for r in results)
        elif _is_written(needs, state) and answer is not None and len(results) > 1:
            budget = yield from needs.budget(state, limits)
            call = _call(needs, state, limits, runtime.stream_writer, config, budget)
            try:
                outcome = yield from needs.transport.call(call)
            except BudgetError as raised:
                status, error = "budget_exhausted", str(raised)
            else:
                attempts = outcome.attempts
                if outcome.reply is None:  # the last subtask's answer stands
                    status, error = "best_effort", f"aggregator: {outcome.error}"
                else:
                    answer = _answer(outcome.reply, attempts[-1], call.turn) or answer
        runtime.stream_writer({"event": "answer", "answer": answer, "status": status})
        update = R2Update(answer=answer, status=status, error=error, attempts=[*state["attempts"], *attempts])
        # A thread always ends with the router's turn: what the user says next is the next query.
        said = answer if answer is not None else f"No answer: {error}"
        meta = {"model_name": "r2", "status": status}
        # Named after the run: aggregating again after a kill is the same turn, and so is going over it again.
        turn = turn_id(state.get("rerun_of") or state["run_id"])
        update["messages"] = [AIMessage(said, response_metadata=meta, id=turn)]
        annotate(config, _told_of_run(update), whole=True)
        yield from finished(needs.ledger, state, update)
        needs.budgets.drop(state["run_id"])
        return update

    return Node(aggregate, "aggregate")


def _told_of_run(update: R2Update) -> dict[str, Any]:
    """What a tracer is told of a whole run."""
    total = bill(update.get("attempts", []))
    return {
        "status": update.get("status"),
        "cost_usd": total.cost_usd,
        "router_share": total.router_share,
        "calls": total.calls,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
    }


def _is_written(needs: Dependencies, state: R2State) -> bool:
    """Whether a pool model writes the answer: it is set so, or tools or a form are asked of it, which no part has."""
    return needs.aggregation == "llm" or bool(needs_of(state.get("turn")))


def _call(
    needs: Dependencies,
    state: R2State,
    limits: R2Context,
    emit: Callable[[Any], None],
    config: RunnableConfig,
    budget: Budget,
) -> Call:
    turn = state.get("turn")
    spec = needs.pool[needs.pool.fitting(needs.aggregator, needs_of(turn)) or needs.aggregator]
    answers = {r["id"]: r["answer"] for r in state["results"]}
    prompt = prompts_for(spec.prompt_style).aggregate(state["query"], answers)
    if turn is not None and spec.prompt_style == "instruct":
        prompt = instruct.compose(state["query"], answers)
        prompt = instruct.in_conversation(prompt, digest=turn["digest"], system=turn["system"])
    else:
        turn = None
    return Call(
        spec=spec,
        prompt=prompt,
        role="aggregator",
        budget=budget,
        config=config,
        deadline_s=limits.deadline_s,
        run_id=needs.recorded(state),
        turn=turn,
        on_chunk=None
        if turn is None or turn["output"] or turn["stream"] == "no"
        else lambda chunk: emit({"event": "chunk", "chunk": chunk}),
    )


def _answer(reply: Reply, row: Attempt, turn: ChatTurn | None) -> str | None:
    """The answer in the aggregator's reply; None where it has none."""
    if turn is None:
        return parse_answer(reply.text)[0] or None
    if not is_answer(turn, reply.text, reply.message):
        return None
    if reply.message is not None:
        row["message"] = reply.message
    row["answer"] = answer_of(reply.text, reply.message)
    return row["answer"]


def last_answer(results: Sequence[SubtaskResult]) -> str | None:
    """The last subtask's answer; None where it has none."""
    return (results[-1]["answer"] or None) if results else None


def status_of(results: Sequence[SubtaskResult]) -> tuple[Status, str | None]:
    """How a run ended, and what went wrong in words."""
    bad = [r for r in results if not r["verdict"]["accepted"]]
    if not bad:
        return "ok", None
    reasons = ", ".join(f"{r['id']}: {r['verdict']['reason']}" for r in bad)
    if any(r["verdict"]["reason"] == "budget" for r in bad):
        return "budget_exhausted", f"the budget could not pay for every subtask ({reasons})"
    if last_answer(results) is None:
        errors = sorted({a["error_type"] for r in bad for a in r["attempts"] if a["error_type"]})
        return "error", f"no answer ({reasons}; {', '.join(errors) or 'no reply was usable'})"
    return "best_effort", f"not accepted: {reasons}"
