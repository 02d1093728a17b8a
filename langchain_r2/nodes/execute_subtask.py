"""Node ``execute_subtask``: the current model tries the subtask, and its answer is judged."""

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.confidence import Confidence, Reading
from langchain_r2.confidence.asking import read
from langchain_r2.errors import BudgetError, InvalidReplyError, RejectedError
from langchain_r2.flow import Flow
from langchain_r2.nodes.base import Dependencies, Node, SubtaskContext
from langchain_r2.parsing import parse_answer
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import prompts_for
from langchain_r2.state import Evidence, SubtaskState, SubtaskUpdate
from langchain_r2.transport import Call, Outcome, expected_usd
from langchain_r2.types import Attempt, Reason, Verdict

_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_REFUSED = frozenset({"content_filter", "refusal", "SAFETY"})


def execute_subtask_node(needs: Dependencies) -> Node:
    """Make the node."""

    def execute_subtask(
        state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig
    ) -> Flow[SubtaskUpdate]:
        context = runtime.context
        call = _call(needs, state, context, config)
        try:
            outcome = yield from needs.transport.call(call)
        except BudgetError:
            verdict = Verdict(accepted=False, reason="budget")
            return SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1)
        reading: Reading | None = None
        asked: list[Attempt] = []
        problem, answer = unusable(outcome)
        if outcome.reply is not None and problem is None:
            reading, asked = yield from read(
                needs.confidence,
                outcome.reply,
                answer,
                call,
                kind=state["kind"],
                pool=needs.pool,
                transport=needs.transport,
            )
        verdict = judge(
            outcome, reading, needs.confidence, state["model"], state["kind"], threshold=context.limits.threshold
        )
        outcome.attempts[-1]["verdict"] = verdict
        evidence = with_options(state, outcome.attempts[-1], needs.pool, context)
        for row in (*outcome.attempts, *asked):
            context.emit({"event": "attempt", "attempt": row, "verdict": verdict})
        attempts = [*state["attempts"], *outcome.attempts, *asked]
        return SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1, attempts=attempts, evidence=evidence)

    return Node(execute_subtask, "execute_subtask")


def _call(needs: Dependencies, state: SubtaskState, context: SubtaskContext, config: RunnableConfig) -> Call:
    spec = needs.pool[state["model"]]
    return Call(
        spec=spec,
        prompt=prompts_for(spec.prompt_style).subtask(
            state["text"],
            query=state["query"],
            known=state["known"],
            template=state["template"],
            inline=state["inline"],
        ),
        role="executor",
        budget=context.budget,
        config=config,
        subtask_id=state["id"],
        direction=state["direction"],
        reason=state["reason"],
        top_logprobs=needs.confidence.top_logprobs,
        deadline_s=context.limits.deadline_s,
        run_id=context.run_id,
    )


def unusable(outcome: Outcome) -> tuple[Reason | None, str]:
    """Why an outcome gives no answer that could be right, None where it does; and the answer in its reply, if any."""
    if outcome.reply is None:
        if isinstance(outcome.error, RejectedError):
            return "refused", ""
        return "invalid_output" if isinstance(outcome.error, InvalidReplyError) else "unreachable", ""
    answer, parse = parse_answer(outcome.reply.text)
    finish = outcome.reply.finish_reason
    if finish in _TRUNCATED or finish in _REFUSED:
        return "truncated" if finish in _TRUNCATED else "refused", answer
    return "invalid_output" if parse == "malformed" else None, answer


def judge(
    outcome: Outcome,
    reading: Reading | None,
    confidence: Confidence,
    model: str,
    kind: str,
    *,
    threshold: float | None,
) -> Verdict:
    """Accept an outcome or say why not; puts answer, confidence and its signal into the outcome's last attempt.

    Args:
        outcome: What came of the call.
        reading: What the signal says about the reply.
        confidence: What to make of it.
        model: Name of the pool model.
        kind: Kind of the subtask.
        threshold: Least confidence that is accepted; None: the confidence's own for the model and kind.
    """
    row = outcome.attempts[-1]
    problem, answer = unusable(outcome)
    if outcome.reply is not None:
        row["answer"] = answer
    if problem in {"truncated", "refused"} and outcome.reply is not None:
        row["confidence"] = 0.0  # however likely its words are, it is not the answer
    if problem:
        return Verdict(accepted=False, reason=problem)
    sure = confidence.probability(reading, model, kind)
    if reading is None or sure is None:
        return Verdict(accepted=confidence.trusts(model, kind), reason="no_signal")
    row["confidence"], row["signal"] = sure, reading.signal
    enough = confidence.threshold_for(model, kind, reading.signal) if threshold is None else threshold
    return (
        Verdict(accepted=True, reason="confident")
        if sure >= enough
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
