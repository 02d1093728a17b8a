"""Every pool model alone: ``direct`` answers at once, ``cot`` works step by step.

Source of ``cot``: Wei et al. 2022 (arXiv 2201.11903). Difference: no worked examples; a fine-tuned model gets the
keyword that it was trained with.
"""

import time

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.base import Method, Router, Run, ask, run_of, transport_of
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt, prompts_for


def alone(group: str, spec: ModelSpec, router: Router) -> Method:
    """One model, ``direct`` or ``cot``."""
    transport = transport_of(router)

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        said = await ask(transport, spec, prompt_of(group, spec, item.query))
        return run_of(said, [], started)

    return Method(f"{group} {spec.name}", answer)


def prompt_of(group: str, spec: ModelSpec, query: str) -> Prompt:
    """What a model is asked in a group."""
    prompts = prompts_for(spec.prompt_style)
    return prompts.cot(query) if group == "cot" else prompts.direct(query)
