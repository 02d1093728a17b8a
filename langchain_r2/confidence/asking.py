"""Signals that take further calls: more samples of the same model, or a verifier's word.

The calls go through the same transport and budget as any other, in the role ``evaluator``. One that fails, or that the
budget cannot pay for, never loses the answer: there is no signal then, or one of fewer samples.
LangChain's own cache repeats a sample for a model without a ``seed``: switch it off for such a model.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from langchain_r2.confidence.base import Confidence, Reading
from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow, Gather
from langchain_r2.parsing import parse_answer
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import instruct
from langchain_r2.transport import Call, Outcome, Reply, Transport
from langchain_r2.types import Attempt

_YES_NO: Final = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def read(
    confidence: Confidence,
    reply: Reply,
    answer: str,
    call: Call,
    *,
    kind: str | None,
    pool: ModelPool,
    transport: Transport,
) -> Flow[tuple[Reading | None, list[Attempt]]]:
    """Read the signal of a reply; further calls are made only where it shows no token probabilities.

    Args:
        confidence: Which signal.
        reply: A whole reply, neither cut off nor refused.
        answer: The answer taken from it.
        call: The call that it answers.
        kind: Kind of the subtask.
        pool: Has the verifier.
        transport: Where calls go.

    Returns:
        The reading, None where there is no signal; and the calls that were made for it.

    Raises:
        ConfigurationError: The verifier cannot be built.
    """
    reading = confidence.of_tokens(reply)
    if reading is not None or confidence.asks is None:
        return reading, []
    known = confidence.calibration(call.spec.name, kind, confidence.asks)
    if known and known.weak:
        return None, []  # it would not be believed
    calls = (
        [_verification(confidence, answer, call, pool)]
        if confidence.asks == "verifier"
        else [_sample(confidence, call, number) for number in range(1, confidence.samples + 1)]
    )
    outcomes: list[Outcome | None] = yield Gather([_made(transport, c) for c in calls])
    replies = [o.reply for o in outcomes if o is not None and o.reply is not None]
    rows = [row for o in outcomes if o is not None for row in o.attempts]
    value = _verified(replies) if confidence.asks == "verifier" else _agreement(replies, answer)
    return None if value is None else Reading(confidence.asks, value, value), rows


def same_answer(a: str, b: str) -> bool:
    """Whether two answers are the same: case, spaces, a final stop and the way a number is written do not matter."""
    return _normal(a) == _normal(b)


def _normal(answer: str) -> str | float:
    text = " ".join(answer.casefold().split()).rstrip(".").strip()
    try:
        number = float(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _made(transport: Transport, call: Call) -> Flow[Outcome | None]:
    """Make a call; None where the budget cannot pay for it."""
    try:
        return (yield from transport.call(call))
    except BudgetError:
        return None


def _sample(confidence: Confidence, call: Call, number: int) -> Call:
    ordinal = call.ordinal + 2 * number  # the allocator's samples of a subtask have odd ones, the executor's even ones
    warm = replace(call, temperature=confidence.temperature, seed=number, top_logprobs=0, on_chunk=None)
    return replace(warm, role="evaluator", ordinal=ordinal)


def _agreement(replies: Sequence[Reply], answer: str) -> float | None:
    """Share of all answers, the first included, that are the same as it; None without any further one."""
    if not replies:
        return None
    same = sum(same_answer(parse_answer(reply.text)[0], answer) for reply in replies)
    return (1 + same) / (1 + len(replies))


def _verification(confidence: Confidence, answer: str, call: Call, pool: ModelPool) -> Call:
    spec = pool[confidence.verifier or ""]
    prompt = instruct.verify(call.prompt.user, answer)
    return replace(call, spec=spec, prompt=prompt, role="evaluator", temperature=0.0, top_logprobs=5, turn=None)


def _verified(replies: Sequence[Reply]) -> float | None:
    """Probability of yes: from the first token's alternatives where they are shown, else 1 or 0 by the word itself."""
    word = _YES_NO.match(parse_answer(replies[0].text)[0]) if replies else None
    if word is None:
        return None
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in replies[0].alternatives[0].items() if replies[0].alternatives else ():
        side = token.strip().lower()
        if side in mass:
            mass[side] += math.exp(min(0.0, logprob))
    said = word[1].lower()
    return mass["yes"] / sum(mass.values()) if mass[said] else float(said == "yes")
