"""``automix``: the small model answers and verifies its own answer; what it does not trust goes to the large model.

Source: AutoMix, Aggarwal, Madaan et al. 2023 (arXiv 2310.12963), self-verification by samples and a threshold router.
Differences: four samples instead of eight; the verifying prompt is this library's own, without examples; a threshold on
the share of "yes", chosen on validation items, in place of the POMDP.
"""

import time
from typing import Final

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.alone import prompt_of
from langchain_r2.evals.methods.base import SAMPLING_TEMPERATURE, Method, NotApplicable, Run, ask, run_of
from langchain_r2.evals.methods.validation import Candidate, Validation, choose, pair
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import instruct
from langchain_r2.transport import Transport
from langchain_r2.types import Attempt

SAMPLES: Final = 4


async def automix(validation: Validation) -> Method:
    """Choose the models and the threshold."""
    table = await validation.cot()
    small, large = pair(table)
    first, second, transport = validation.pool[small], validation.pool[large], validation.transport
    if first.prompt_style != "instruct":
        raise NotApplicable(f"{small} was never trained to verify an answer")

    async def verified(item: Item) -> tuple[float, float]:
        said = await ask(transport, first, prompt_of("cot", first, item.query))
        share, rows = await _verified(transport, first, item.query, said.answer)
        return share, sum(row["cost_usd"] or 0.0 for row in rows)

    shares = await validation.over_items("automix", verified)
    candidates = []
    for threshold in (*(yes / SAMPLES for yes in range(SAMPLES + 1)), float("inf")):
        rows = list(zip(table[small], table[large], shares, strict=True))
        score = [s.score if share >= threshold else b.score for s, b, (share, _) in rows]
        cost = [s.cost_usd + usd + (0.0 if share >= threshold else b.cost_usd) for s, b, (share, usd) in rows]
        settings = {"small": small, "large": large, "samples": SAMPLES, "threshold": threshold}
        candidates.append(Candidate(settings, sum(score) / len(rows), sum(cost) / len(rows)))
    best = choose(candidates)

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        said = await ask(transport, first, prompt_of("cot", first, item.query))
        share, checks = await _verified(transport, first, item.query, said.answer)
        facts, before = {"small": small, "large": large, "score": share}, [*said.attempts, *checks]
        if share >= best.settings["threshold"]:
            return run_of(said._replace(attempts=[]), before, started, facts)
        return run_of(await ask(transport, second, prompt_of("cot", second, item.query)), before, started, facts)

    return Method("automix", answer, best.as_facts(len(candidates)))


async def _verified(transport: Transport, spec: ModelSpec, query: str, answer: str) -> tuple[float, list[Attempt]]:
    """Share of samples that say yes, and their calls; of no answer nothing is asked."""
    if not answer:
        return 0.0, []
    prompt, yes = instruct.verify(query, answer), 0
    rows: list[Attempt] = []
    for number in range(1, SAMPLES + 1):
        said = await ask(transport, spec, prompt, role="evaluator", temperature=SAMPLING_TEMPERATURE, ordinal=number)
        yes += said.answer.casefold().strip(" .*").startswith("yes")
        rows += said.attempts
    return yes / SAMPLES, rows
