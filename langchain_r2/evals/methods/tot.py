"""``tot``: Tree of Thoughts with N = 2 on the strongest model: two next steps are drawn, it votes for one, and so on.

Source: Yao et al. 2023 (arXiv 2305.10601), breadth-first search with one kept state. Differences: one vote a level; at
most four levels, then the model answers from the steps it has; two equal steps need no vote.
"""

import time
from typing import Final

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.base import (
    SAMPLING_TEMPERATURE,
    Method,
    NotApplicable,
    Router,
    Run,
    Said,
    ask,
    run_of,
    transport_of,
)
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import instruct
from langchain_r2.transport import Transport
from langchain_r2.types import Attempt

BRANCHES: Final = 2
LEVELS: Final = 4


def tot(router: Router) -> Method:
    """On the pool's strongest model.

    Raises:
        NotApplicable: It follows no instructions.
    """
    spec: ModelSpec = router["pool"].strongest
    transport = transport_of(router)
    if spec.prompt_style != "instruct":
        raise NotApplicable(f"{spec.name} was never trained to write a single next step, nor to compare two")

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        steps: list[str] = []
        before: list[Attempt] = []
        for _ in range(LEVELS):
            step = await _step(transport, spec, item.query, steps, before)
            if step is None:
                break
            if instruct.FINISHED.search(step.text):
                return run_of(step._replace(attempts=[]), before, started, {"levels": len(steps) + 1})
            steps.append(step.text.strip())
        said = await ask(transport, spec, instruct.conclusion(item.query, steps))
        return run_of(said, before, started, {"levels": len(steps) + 1})

    return Method("tot", answer, {"model": spec.name, "branches": BRANCHES, "levels": LEVELS})


async def _step(
    transport: Transport, spec: ModelSpec, query: str, steps: list[str], before: list[Attempt]
) -> Said | None:
    """The next step that won; None where the model wrote none."""
    drawn: list[Said] = []
    for number in range(1, BRANCHES + 1):
        prompt = instruct.thought(query, steps)
        said = await ask(transport, spec, prompt, temperature=SAMPLING_TEMPERATURE, ordinal=number)
        before += said.attempts
        if said.text.strip() and said.text.strip() not in {other.text.strip() for other in drawn}:
            drawn.append(said)
    if len(drawn) < BRANCHES:
        return drawn[0] if drawn else None
    vote = await ask(transport, spec, instruct.vote(query, steps, [said.text for said in drawn]), role="evaluator")
    before += vote.attempts
    return drawn[1] if vote.answer.strip(" .").startswith("2") else drawn[0]
