"""``dot``: Division-of-Thoughts: a plan with its dependency graph, each subtask to one of two models.

Source: Shao et al. 2025 (arXiv 2502.04392). A subtask is easy, and stays with the small model, where the 0.4-quantile
of the small model's token probabilities reaches a threshold (there 0.9). Differences: the plans are our decomposer's;
the small model is run on the subtask to judge it, where they train an adapter that predicts this; the threshold is
chosen on validation items, 0.9 being among those tried.
"""

import dataclasses
from typing import Final

from langchain_r2.confidence import Confidence
from langchain_r2.evals.methods.base import Method, NotApplicable
from langchain_r2.evals.methods.routed import with_allocator
from langchain_r2.evals.methods.validation import Candidate, Validation, choose, pair, points
from langchain_r2.pool import ModelPool
from langchain_r2.routers.calibrated import CalibratedAllocator

THRESHOLDS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


async def dot(validation: Validation) -> Method:
    """Choose the models and the threshold."""
    if any(o.signal is None for rows in (await validation.cot()).values() for o in rows):
        raise NotApplicable("it needs token probabilities, and a model of the pool gives none")
    table = await validation.fixed()
    small, large = pair(table)
    candidates = []
    for threshold in THRESHOLDS:
        outcomes = await validation.outcomes_of(_with(validation, small, large, threshold))
        settings = {"small": small, "large": large, "alpha": 0.4, "threshold": threshold}
        candidates.append(Candidate(settings, *points(outcomes)))
    best = choose(candidates)
    made = _with(validation, small, large, best.settings["threshold"])
    return made._replace(settings=best.as_facts(len(candidates)))


def _with(validation: Validation, small: str, large: str, threshold: float) -> Method:
    two = ModelPool(
        [
            dataclasses.replace(validation.pool[small], group="SLM"),
            dataclasses.replace(validation.pool[large], group="LLM"),
        ]
    )
    allocator = CalibratedAllocator(
        two,
        evaluator=small,
        confidence=Confidence(signal="quantile_0.4"),
        easy=threshold,
        medium=threshold,
        default_route=large,
        transport=validation.transport,
    )
    return with_allocator("dot", validation.router, allocator)
