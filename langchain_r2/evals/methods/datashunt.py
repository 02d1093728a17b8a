"""``datashunt``: the small model's own certainty says how hard a query is; hard ones go to the large model.

Source: Data Shunt, Chen et al., AAAI 2024 (extended as Data Shunt+, arXiv 2406.15471), the small model's confidence
against a threshold. Differences: both work step by step; the large model is not told what the small one said; a small
model without token probabilities is asked whether the query is easy, before anything is answered, as R2-Reasoner's own
comparison does.
"""

import time

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.alone import prompt_of
from langchain_r2.evals.methods.base import Method, NotApplicable, Run, Said, ask, run_of
from langchain_r2.evals.methods.validation import Candidate, Outcome, Validation, choose, pair, thresholds
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import instruct
from langchain_r2.transport import Transport


async def datashunt(validation: Validation) -> Method:
    """Choose the models and the threshold."""
    table = await validation.cot()
    small, large = pair(table)
    signals = [o.signal for o in table[small] if o.signal is not None]
    if len(signals) < len(table[small]):
        return _asking(validation, small, large)
    values = thresholds(signals)
    candidates = [_tried(table[small], table[large], value, (small, large)) for value in values]
    best = choose(candidates)
    threshold, transport = float(best.settings["threshold"]), validation.transport
    first, second = validation.pool[small], validation.pool[large]

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        said = await ask(transport, first, prompt_of("cot", first, item.query))
        facts = {"small": small, "large": large, "score": said.signal}
        if said.answer and said.signal is not None and said.signal >= threshold:
            return run_of(said, [], started, facts)
        stronger = await ask(transport, second, prompt_of("cot", second, item.query))
        return run_of(stronger, said.attempts, started, facts)

    return Method("datashunt", answer, best.as_facts(len(candidates)))


def _tried(small: list[Outcome], large: list[Outcome], threshold: float, names: tuple[str, str]) -> Candidate:
    score = cost = 0.0
    for first, second in zip(small, large, strict=True):
        kept = bool(first.answer) and first.signal is not None and first.signal >= threshold
        score += first.score if kept else second.score
        cost += first.cost_usd + (0.0 if kept else second.cost_usd)
    settings = {"small": names[0], "large": names[1], "threshold": threshold}
    return Candidate(settings, score / len(small), cost / len(small))


def _asking(validation: Validation, small: str, large: str) -> Method:
    judge, transport = validation.pool[small], validation.transport
    if judge.prompt_style != "instruct":
        raise NotApplicable(f"{small} gives no token probabilities, and was never trained to judge a query")

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        judged = await _judged(transport, judge, item.query)
        easy = judged.answer.casefold().strip(" .") == "easy"
        spec = validation.pool[small if easy else large]
        said = await ask(transport, spec, prompt_of("cot", spec, item.query))
        return run_of(said, judged.attempts, started, {"small": small, "large": large, "judged": judged.answer})

    return Method("datashunt", answer, {"small": small, "large": large, "judged": "by the small model's word"})


async def _judged(transport: Transport, spec: ModelSpec, query: str) -> Said:
    return await ask(transport, spec, instruct.difficulty(query), role="evaluator")
