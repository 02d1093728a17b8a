"""``frugalgpt``: models are asked one after another, cheapest first, until a scorer trusts the answer.

Source: FrugalGPT, Chen et al. 2023 (arXiv 2305.05176): lists of at most three models and their thresholds chosen
together. Differences: the scorer is the reply's own log-probability where every model shows one, else a logistic
regression on TF-IDF of query and answer instead of DistilBERT; the choice is by enumeration over quantiles, by the rule
that all baselines are tuned by.
"""

import time
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.alone import prompt_of
from langchain_r2.evals.methods.base import Method, Run, Said, ask, run_of
from langchain_r2.evals.methods.fitting import Doubles, fit_head, out_of_fold
from langchain_r2.evals.methods.validation import Candidate, Table, Validation, choose
from langchain_r2.types import Attempt

LONGEST = 3
"""Most models in a list."""
_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class _Scorer(NamedTuple):
    of_validation: dict[str, Doubles]
    """By model name, of its validation replies."""
    of_reply: Callable[[str, Said], float]


async def frugal(validation: Validation) -> Method:
    """Choose models and thresholds."""
    table = await validation.cot()
    scorer = _scorer(validation, table)
    candidates = [c for names in _lists(list(table)) for c in _tried(names, table, scorer.of_validation)]
    best = choose(candidates)
    stages = list(zip(best.settings["models"], [*best.settings["thresholds"], float("-inf")], strict=True))

    async def asked(name: str, item: Item) -> Said:
        spec = validation.pool[name]
        return await ask(validation.transport, spec, prompt_of("cot", spec, item.query))

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        before: list[Attempt] = []
        for number, (name, threshold) in enumerate(stages[:-1], 1):
            said = await asked(name, item)
            if said.answer and scorer.of_reply(item.query, said) >= threshold:
                return run_of(said, before, started, {"stages": number})
            before += said.attempts
        return run_of(await asked(stages[-1][0], item), before, started, {"stages": len(stages)})

    return Method("frugalgpt", answer, best.as_facts(len(candidates)))


def _lists(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All lists of up to three models in the pool's order."""
    return [chosen for length in range(1, LONGEST + 1) for chosen in combinations(names, length)]


def _tried(names: tuple[str, ...], table: Table, scores: dict[str, Doubles]) -> list[Candidate]:
    """A list with every combination of thresholds."""
    right = [np.array([o.score for o in table[name]]) for name in names]
    cost = [np.array([o.cost_usd for o in table[name]]) for name in names]
    made = []
    for cuts in product(*(sorted(set(np.quantile(scores[name], _QUANTILES))) for name in names[:-1])):
        waiting = np.ones(len(right[0]), bool)
        score, paid = np.zeros(len(waiting)), np.zeros(len(waiting))
        for place, name in enumerate(names):
            paid += np.where(waiting, cost[place], 0.0)
            taken = waiting & (scores[name] >= cuts[place] if place < len(cuts) else True)
            score += np.where(taken, right[place], 0.0)
            waiting &= ~taken
        settings: dict[str, Any] = {"models": list(names), "thresholds": [float(cut) for cut in cuts]}
        made.append(Candidate(settings, float(score.mean()), float(paid.mean())))
    return made


def _scorer(validation: Validation, table: Table) -> _Scorer:
    signals = {name: [o.signal for o in rows] for name, rows in table.items()}
    if all(value is not None for values in signals.values() for value in values):
        by_model = {name: np.array(values, float) for name, values in signals.items()}
        return _Scorer(by_model, lambda _, said: float("-inf") if said.signal is None else said.signal)
    queries = [item.query for item in validation.items]
    # Item by item, so that a fold has all models' answers to few items.
    texts = [_shown(q, rows[i].answer) for i, q in enumerate(queries) for rows in table.values()]
    right = np.array([[float(rows[i].score >= 1)] for i in range(len(queries)) for rows in table.values()])
    said = out_of_fold(texts, right)[:, 0].reshape(len(queries), len(table))
    head = fit_head(["right"], texts, right)
    by_model = {name: said[:, place].astype(float) for place, name in enumerate(table)}
    return _Scorer(by_model, lambda query, reply: float(head.of_texts([_shown(query, reply.answer)])[0, 0]))


def _shown(query: str, answer: str) -> str:
    return f"{query}\n{answer}"
