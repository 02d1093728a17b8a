"""``query router``: a classifier reads the query, and sends it whole to a small or a large model.

Sources: HybridLLM, Ding et al. 2024 (arXiv 2404.14618), with the label "the small model is as good as the large one";
RouteLLM, Ong et al. 2024 (arXiv 2406.18665), for a threshold on its probability. Differences: the classifier is a
logistic regression on TF-IDF instead of DeBERTa, or a matrix factorisation on preferences, and learns from this pool's
validation outcomes; its threshold is chosen on what it says of items that it was not fitted on. Reading costs nothing.
"""

import time

import numpy as np

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.alone import prompt_of
from langchain_r2.evals.methods.base import Method, Run, ask, run_of
from langchain_r2.evals.methods.fitting import fit_head, out_of_fold
from langchain_r2.evals.methods.validation import Candidate, Validation, choose, pair, thresholds


async def query_router(validation: Validation) -> Method:
    """Fit the classifier, choose the threshold."""
    table = await validation.cot()
    small, large = pair(table)
    texts = [item.query for item in validation.items]
    both = list(zip(table[small], table[large], strict=True))
    enough = np.array([[float(s.score >= b.score)] for s, b in both])
    said = [float(p) for p in out_of_fold(texts, enough)[:, 0]]
    candidates = []
    for threshold in thresholds(said):
        taken = [s if p >= threshold else b for p, (s, b) in zip(said, both, strict=True)]
        settings = {"small": small, "large": large, "threshold": threshold}
        mean = sum(o.score for o in taken) / len(taken), sum(o.cost_usd for o in taken) / len(taken)
        candidates.append(Candidate(settings, *mean))
    best = choose(candidates)
    head, threshold = fit_head([small], texts, enough), float(best.settings["threshold"])

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        score = float(head.of_texts([item.query])[0, 0])
        spec = validation.pool[small if score >= threshold else large]
        replied = await ask(validation.transport, spec, prompt_of("cot", spec, item.query))
        return run_of(replied, [], started, {"small": small, "large": large, "score": score})

    return Method("query router", answer, best.as_facts(len(candidates)))
