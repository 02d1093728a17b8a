"""Node ``execute_subtask``: the current model tries the subtask, and its answer is judged."""

from collections.abc import Callable
from dataclasses import replace

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_r2.confidence import Confidence, Reading
from langchain_r2.confidence.asking import read
from langchain_r2.errors import BrokenOffError, BudgetError, InvalidReplyError, RejectedError
from langchain_r2.flow import Flow
from langchain_r2.model_spec import ModelSpec
from langchain_r2.nodes.base import Dependencies, Node, SubtaskContext, capabilities
from langchain_r2.nodes.tool_loop import called
from langchain_r2.parsing import parse_answer
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import Prompt, prompts_for
from langchain_r2.state import Evidence, SubtaskState, SubtaskUpdate
from langchain_r2.transport import Call, Outcome, annotate, expected_usd
from langchain_r2.turns import answer_of, is_answer
from langchain_r2.types import Attempt, ChatTurn, Reason, Verdict

_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_REFUSED = frozenset({"content_filter", "refusal", "SAFETY"})


def execute_subtask_node(needs: Dependencies) -> Node:
    """Make the node."""

    def execute_subtask(
        state: SubtaskState, runtime: Runtime[SubtaskContext], config: RunnableConfig
    ) -> Flow[SubtaskUpdate]:
        context = runtime.context
        turn = answered_turn(state, needs.pool[state["model"]], context)
        plain = needs.pool[state["model"]].prompt_style == "plain"
        confidence = in_prose(needs.confidence) if turn else needs.confidence
        call = _call(needs, state, context, config, turn)
        rows: list[Attempt] = []
        try:
            call, outcome = yield from called(needs.transport, call, rows)
        except BudgetError:
            verdict, paid = Verdict(accepted=False, reason="budget"), [*state["attempts"], *rows]
            return SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1, attempts=paid)
        reading: Reading | None = None
        asked: list[Attempt] = []
        problem, answer = unusable(outcome, turn, plain=plain)
        if outcome.reply is not None and problem is None and not plain:  # a tool is not called again to be believed
            reading, asked = yield from read(
                confidence,
                outcome.reply,
                answer,
                call,
                kind=state["kind"],
                pool=needs.pool,
                transport=needs.transport,
            )
        verdict = judge(
            outcome,
            reading,
            confidence,
            state["model"],
            state["kind"],
            threshold=context.limits.threshold,
            turn=turn,
            plain=plain,
        )
        outcome.attempts[-1]["verdict"] = verdict
        evidence = with_options(state, outcome.attempts[-1], needs.pool, context)
        for row in (*outcome.attempts, *asked):
            context.emit({"event": "attempt", "attempt": row, "verdict": verdict})
        annotate(config, _facts(outcome.attempts[-1], verdict, call.tries_before + len(outcome.attempts)))
        attempts = [*state["attempts"], *outcome.attempts, *asked]
        update = SubtaskUpdate(verdict=verdict, tries=state["tries"] + 1, attempts=attempts, evidence=evidence)
        if call.on_chunk is not None and (outcome.reply is not None or isinstance(outcome.error, BrokenOffError)):
            update["max_attempts"] = state["tries"] + 1  # its words were passed on: it was the last try
        return update

    return Node(execute_subtask, "execute_subtask")


def _facts(row: Attempt, verdict: Verdict, number: int) -> dict[str, object]:
    """What a tracer is told of a try, by the names that its model call has."""
    shown = {name: row.get(name) for name in ("model", "direction", "reason", "confidence", "cost_usd", "error_type")}
    return {**shown, "attempt": number, "accepted": verdict["accepted"], "verdict": verdict["reason"]}


def answered_turn(state: SubtaskState, spec: ModelSpec, context: SubtaskContext) -> ChatTurn | None:
    """The turn that a model answers as it is; None where it gets a text of ours."""
    return context.turn if state.get("verbatim") and spec.prompt_style == "instruct" else None


def in_prose(confidence: Confidence) -> Confidence:
    """Confidence in a reply to a conversation.

    It may be long: the probability of a whole text then only says how long, and calibrations are of short answers.
    """
    signal = "mean" if confidence.signal == "sequence" else confidence.signal
    return replace(confidence, signal=signal, calibrations={}, kinds={})


def _call(
    needs: Dependencies, state: SubtaskState, context: SubtaskContext, config: RunnableConfig, turn: ChatTurn | None
) -> Call:
    spec = needs.pool[state["model"]]
    prompts = prompts_for(spec.prompt_style)
    prompt = prompts.subtask(
        state["text"], query=state["query"], known=state["known"], template=state["template"], inline=state["inline"]
    )
    if turn is not None:
        prompt = Prompt(state["query"], chat=tuple(turn["messages"]))
    elif context.turn is not None:
        prompt = prompts.in_conversation(prompt, digest=context.turn["digest"], system=context.turn["system"])
    return Call(
        spec=spec,
        prompt=prompt,
        role="executor",
        budget=context.budget,
        config=config,
        subtask_id=state["id"],
        tries_before=sum(row["role"] == "executor" for row in state["attempts"]),
        direction=state["direction"],
        reason=state["reason"],
        top_logprobs=needs.confidence.top_logprobs,
        deadline_s=context.limits.deadline_s,
        run_id=context.run_id,
        turn=turn,
        on_chunk=_passing_on(needs, state, context, turn),
    )


def _passing_on(
    needs: Dependencies, state: SubtaskState, context: SubtaskContext, turn: ChatTurn | None
) -> Callable[[AIMessageChunk], None] | None:
    """Who takes the reply while it is written: the custom stream, where no other try can follow this one."""
    if turn is None or turn["output"] or turn["stream"] == "no":
        return None
    last = state["tries"] + 1 >= state["max_attempts"] or not state["upward"]
    if turn["stream"] == "final" and not last and needs.pool.up(state["model"], capabilities(state, context)):
        return None

    def on_chunk(chunk: AIMessageChunk) -> None:
        context.emit({"event": "chunk", "chunk": chunk})

    return on_chunk


def unusable(outcome: Outcome, turn: ChatTurn | None = None, *, plain: bool = False) -> tuple[Reason | None, str]:
    """Why an outcome gives no answer that could be right, None where it does; and the answer in its reply, if any.

    All of a plain reply, a tool's, is the answer.
    """
    if outcome.reply is None:
        if isinstance(outcome.error, RejectedError):
            return "refused", ""
        return "invalid_output" if isinstance(outcome.error, InvalidReplyError) else "unreachable", ""
    reply = outcome.reply
    if plain:
        answer, malformed = reply.text.strip(), not reply.text.strip()
    elif turn is None:
        answer, parse = parse_answer(reply.text)
        malformed = parse == "malformed"
    else:
        answer, malformed = answer_of(reply.text, reply.message), not is_answer(turn, reply.text, reply.message)
    if reply.finish_reason in _TRUNCATED or reply.finish_reason in _REFUSED:
        return "truncated" if reply.finish_reason in _TRUNCATED else "refused", answer
    return "invalid_output" if malformed else None, answer


def judge(
    outcome: Outcome,
    reading: Reading | None,
    confidence: Confidence,
    model: str,
    kind: str,
    *,
    threshold: float | None,
    turn: ChatTurn | None = None,
    plain: bool = False,
) -> Verdict:
    """Accept an outcome or say why not; puts answer, confidence and its signal into the outcome's last attempt.

    Args:
        outcome: What came of the call.
        reading: What the signal says about the reply.
        confidence: What to make of it.
        model: Name of the pool model.
        kind: Kind of the subtask.
        threshold: Least confidence that is accepted; None: the confidence's own for the model and kind.
        turn: The turn of a conversation that the model answered as it is; None: it answered a text of ours.
        plain: Whether it is a tool's reply.
    """
    row = outcome.attempts[-1]
    problem, answer = unusable(outcome, turn, plain=plain)
    if outcome.reply is not None:
        row["answer"] = answer
        if outcome.reply.message is not None:
            row["message"] = outcome.reply.message
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
    stronger = pool.up(state["model"], capabilities(state, context))
    tokens = last["input_tokens"], last["output_tokens"]
    stronger_usd = expected_usd(pool[stronger], *tokens) if stronger else float("inf")
    replan_usd: float | None = None
    if state["depth"] < context.limits.max_replans and state["evidence"]["replan_usd"] is not None:
        replan_usd = context.router_usd + 2 * expected_usd(pool[state["model"]], *tokens)
    return Evidence(
        **{**state["evidence"], "stronger": stronger, "stronger_usd": stronger_usd, "replan_usd": replan_usd}
    )
