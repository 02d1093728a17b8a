"""One subtask on one model, asked exactly as the graph asks it: an execution that a plan's run then finds kept."""

from collections.abc import Mapping
from typing import NamedTuple

from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.nodes.execute_subtask import unusable
from langchain_r2.parsing import references, resolve
from langchain_r2.prompts import prompts_for
from langchain_r2.transport import Call
from langchain_r2.types import Subtask
from training.plan_runs import PlanRunner


class Execution(NamedTuple):
    """What a model made of a subtask."""

    model: str
    answer: str
    """Empty where there is none, or it was cut off or refused."""
    cost_usd: float | None
    failed: bool = False
    """Whether the call failed, which says nothing about the model."""


async def execute(
    runner: PlanRunner, query: str, subtask: Subtask, answers: Mapping[str, str], model: str
) -> Execution:
    """Have a model do a subtask, given the answers that it needs."""
    spec = runner.pool[model]
    needed = {d: answers[d] for d in subtask["depends_on"]}
    named = set(references(subtask["text"]))
    inline = {d: a for d, a in needed.items() if d in named}
    prompt = prompts_for(spec.prompt_style).subtask(
        resolve(subtask["text"], needed, query),
        query=query,
        known={d: a for d, a in needed.items() if d not in named},
        template=subtask["text"] if inline else None,
        inline=inline,
    )
    call = Call(
        spec=spec,
        prompt=prompt,
        role="executor",
        budget=Budget(),
        subtask_id=subtask["id"],
        top_logprobs=runner.confidence.top_logprobs,
        deadline_s=runner.context.deadline_s,
    )
    outcome = await arun(runner.transport.call(call))
    problem, answer = unusable(outcome, plain=spec.prompt_style == "plain")
    return Execution(model, "" if problem else answer, outcome.attempts[-1]["cost_usd"], failed=outcome.reply is None)
