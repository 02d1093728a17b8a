"""``best fixed``: our plans with the one model for all subtasks that did best on validation items."""

from langchain_r2.evals.methods.base import Method
from langchain_r2.evals.methods.routed import fixed
from langchain_r2.evals.methods.validation import Candidate, Validation, choose, points


async def best_fixed(validation: Validation) -> Method:
    """Choose the model."""
    table = await validation.fixed()
    candidates = [Candidate({"model": name}, *points(outcomes)) for name, outcomes in table.items()]
    best = choose(candidates)
    made = fixed(validation.pool[best.settings["model"]], validation.router)
    return Method("best fixed", made.answer, best.as_facts(len(candidates)))
