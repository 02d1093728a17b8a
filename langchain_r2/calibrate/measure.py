"""Asks the models of a pool the items, and turns the answers into what the calibration file keeps."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from langchain_r2.calibrate.items import Item, digest
from langchain_r2.confidence import Calibration, Confidence, Reading
from langchain_r2.confidence.asking import read, same_answer
from langchain_r2.confidence.evaluation import LEAST_OF_EACH, calibrated
from langchain_r2.confidence.file import Measured, Settings
from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow, arun
from langchain_r2.ledger import Budget, add_costs, bill
from langchain_r2.model_spec import ModelSpec
from langchain_r2.nodes.execute_subtask import unusable
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import Prompt, prompts_for
from langchain_r2.transport import Call, Transport, worst_usd
from langchain_r2.types import Attempt

KIND_ITEMS: Final = 40
"""A kind of subtask has a calibration of its own from so many items on..."""
KIND_OF_EACH: Final = 10
"""...of which so many are right and so many wrong; otherwise its model's is used."""


class Answer(NamedTuple):
    """What a model did with an item."""

    right: bool
    reading: Reading | None
    attempts: list[Attempt]
    error: str | None
    """Why there was no reply, if there was none."""


def most_usd(
    models: Iterable[ModelSpec], items: Sequence[Item], confidence: Confidence, pool: ModelPool
) -> float | None:
    """What asking costs at most, tries that fail aside; None where a price is unknown."""
    total: float | None = 0.0
    for spec in models:
        for item in items:
            prompt = _prompt(spec, item)
            each = worst_usd(spec, prompt)
            total = add_costs(total, None if each is None else each * (1 + confidence.samples))
            if confidence.verifier:
                verifier = pool[confidence.verifier]
                answer = verifier.price.cost_usd(spec.max_output_tokens, 0)
                total = add_costs(total, add_costs(worst_usd(verifier, prompt), answer))
    return total


async def ask(
    models: Sequence[ModelSpec],
    items: Sequence[Item],
    confidence: Confidence,
    *,
    pool: ModelPool,
    transport: Transport,
    budget: Budget,
    concurrency: int,
    on_answer: Callable[[], None] = lambda: None,
) -> dict[str, list[Answer]]:
    """Ask every model every item; a call that fails is an answer with an error.

    Args:
        models: Whom to ask.
        items: What to ask.
        confidence: Which signal is read; it has no calibrations yet.
        pool: Has the verifier.
        transport: Where calls go.
        budget: A hard limit for all of it.
        concurrency: Items under way at a time.
        on_answer: Called after each.

    Raises:
        ConfigurationError: A model cannot be built.
    """
    gate = asyncio.Semaphore(concurrency)

    async def one(spec: ModelSpec, item: Item) -> Answer:
        async with gate:
            answer = await arun(_answer(spec, item, confidence, pool, transport, budget))
        on_answer()
        return answer

    return {spec.name: list(await asyncio.gather(*(one(spec, item) for item in items))) for spec in models}


def measured(answers: Sequence[Answer], items: Sequence[Item], settings: Settings) -> Measured:
    """What one model's answers say: its accuracy, its cost, and what its confidence is worth."""
    readings = [a.reading for a in answers]
    names = Counter(r.signal for r in readings if r is not None)
    signal = names.most_common(1)[0][0] if names else settings.signal
    signals = [r.value if r and r.signal == signal and math.isfinite(r.value) else None for r in readings]
    right = [a.right for a in answers]

    def fitted(places: Sequence[int]) -> Calibration:
        made = calibrated(
            [signals[i] for i in places],
            [right[i] for i in places],
            signal=signal,
            target=settings.target,
            seed=settings.seed,
        )
        return replace(made, data_sha256=digest([items[i] for i in places]))

    by_kind: Mapping[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        by_kind[item.kind].append(place)
    whole = fitted(range(len(items)))
    cost = bill(row for answer in answers for row in answer.attempts).cost_usd
    return Measured(
        calibration=whole,
        kinds={kind: fitted(places) for kind, places in by_kind.items() if _enough(places, signals, right)},
        cost_usd=None if cost is None else cost / len(items),
        verdict=_verdict(whole, [r for r, s in zip(right, signals, strict=True) if s is not None]),
        right=right,
        signals=signals,
    )


def _enough(places: Sequence[int], signals: Sequence[float | None], right: Sequence[bool]) -> bool:
    labels = [right[i] for i in places if signals[i] is not None]
    return len(labels) >= KIND_ITEMS and min(sum(labels), len(labels) - sum(labels)) >= KIND_OF_EACH


def _verdict(calibration: Calibration, labels: Sequence[bool]) -> str:
    if not labels:
        return "too weak to route on: it shows no signal"
    if calibration.auroc_interval is None:
        counts = f"{sum(labels)} right and {len(labels) - sum(labels)} wrong answers"
        return f"not measurable: {counts}, {LEAST_OF_EACH} of each are needed"
    low, high = calibration.auroc_interval
    touches = f"too weak to route on: the AUROC interval [{low:.2f}, {high:.2f}] touches 0.5"
    return touches if calibration.weak else "usable"


def _prompt(spec: ModelSpec, item: Item) -> Prompt:
    return prompts_for(spec.prompt_style).subtask(item.text, query=item.query, known={})


def _answer(
    spec: ModelSpec, item: Item, confidence: Confidence, pool: ModelPool, transport: Transport, budget: Budget
) -> Flow[Answer]:
    call = Call(
        spec=spec,
        prompt=_prompt(spec, item),
        role="executor",
        budget=budget,
        top_logprobs=confidence.top_logprobs,
    )
    try:
        outcome = yield from transport.call(call)
    except BudgetError as error:
        return Answer(False, None, [], f"BudgetError: {error}")
    if outcome.reply is None:
        return Answer(False, None, outcome.attempts, f"{type(outcome.error).__name__}: {outcome.error}")
    problem, text = unusable(outcome)
    if problem:
        return Answer(False, None, outcome.attempts, None)
    reading, asked = yield from read(
        confidence, outcome.reply, text, call, kind=item.kind, pool=pool, transport=transport
    )
    return Answer(same_answer(text, item.answer), reading, [*outcome.attempts, *asked], None)
