"""Node ``execute_subtask``: the current model tries the subtask, and its answer is judged."""

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.confidence import Confidence
from langchain_r2.errors import BudgetError, InvalidReplyError, RejectedError
from langchain_r2.flow import Flow
from langchain_r2.nodes.base import Dependencies, Node, SubtaskContext
from langchain_r2.parsing import parse_answer
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import prompts_for
from langchain_r2.state import Evidence, SubtaskState, SubtaskUpdate
from langchain_r2.transport import Call, Outcome, expected_usd
from langchain_r2.types import Attempt, Verdict

_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_REFUSED = frozenset({"content_filter", "refusal", "SAFETY"})


def execute_subtask_node(needs: Dependencies) -> Node:
    """Make the node."""

    def execute_subtask(
        state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig
    ) -> Flow[SubtaskUpdate]:
        context = runtime.context
        spec = needs.pool[state["model"]]
        call = Call(
            spec=spec,
            prompt=prompts_for(spec.prompt_style).subtask(state["text"], query=state["query"], known=state["known"]),
            role="executor",
            budget=context.budget,
            config=config,
            subtask_id=state["id"],
            direction=state["direction"],
            reason=state["reason"],
            deadline_s=context.limits.deadline_s,
        )
        try:
            outcome = yield from needs.transport.call(call)
        except BudgetError:
            verdict = Verdict(accepted=False, reason="budget")
            return SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1)
        limits = context.limits
        threshold = needs.confidence.threshold if limits.threshold is None else limits.threshold
        verdict = judge(outcome, needs.confidence, spec.name, threshold)
        attempts = [*state["attempts"], *outcome.attempts]
        evidence = with_options(state, attempts[-1], needs.pool, context)
        for row in outcome.attempts:
            runtime.context.emit({"event": "attempt", "attempt": row, "verdict": verdict})
        return SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1, attempts=attempts, evidence=evidence)

    return Node(execute_subtask, "execute_subtask")


def judge(outcome: Outcome, confidence: Confidence, model: str, threshold: float) -> Verdict:
    """Accept an outcome or say why not; puts the answer and its confidence into the outcome's last attempt."""
    row = outcome.attempts[-1]
    if outcome.reply is None:
        if isinstance(outcome.error, RejectedError):
            return Verdict(accepted=False, reason="refused")
        invalid = isinstance(outcome.error, InvalidReplyError)
        return Verdict(accepted=False, reason="invalid_output" if invalid else "unreachable")
    answer, parse = parse_answer(outcome.reply.text)
    row["answer"] = answer
    row["confidence"] = sure = confidence(outcome.reply, model)
    finish = outcome.reply.finish_reason
    if finish in _TRUNCATED or finish in _REFUSED:
        row["confidence"] = 0.0  # however likely its words are, it is not the answer
        return Verdict(accepted=False, reason="truncated" if finish in _TRUNCATED else "refused")
    if parse == "malformed":
        return Verdict(accepted=False, reason="invalid_output")
    if sure is None:
        return Verdict(accepted=True, reason="no_signal")
    return (
        Verdict(accepted=True, reason="confident")
        if sure >= threshold
        else Verdict(accepted=False, reason="low_confidence")
    )


def with_options(state: SubtaskState, last: Attempt, pool: ModelPool, context: SubtaskContext) -> Evidence:
    """The evidence with what could come next and what it is expected to cost.

    The next stronger model is expected to need as many tokens as the last try; a sub-plan, as much routing as the query
    did, and twice the last try's executing.
    """
    stronger = pool.up(state["model"])
    tokens = last["input_tokens"], last["output_tokens"]
    stronger_usd = expected_usd(pool[stronger], *tokens) if stronger else float("inf")
    replan_usd: float | None = None
    if state["depth"] < context.limits.max_replans and state["evidence"]["replan_usd"] is not None:
        replan_usd = context.router_usd + 2 * expected_usd(pool[state["model"]], *tokens)
    return Evidence(
        **{**state["evidence"], "stronger": stronger, "stronger_usd": stronger_usd, "replan_usd": replan_usd}
    )
