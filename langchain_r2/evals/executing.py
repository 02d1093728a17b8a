"""One subtask on one model, asked exactly as the graph asks it: what a cache keeps of it, a run finds."""

from collections.abc import Mapping
from typing import NamedTuple

from langchain_r2.flow import arun
from langchain_r2.ledger import Budget, bill
from langchain_r2.model_spec import ModelSpec
from langchain_r2.nodes.execute_subtask import unusable
from langchain_r2.parsing import references, resolve
from langchain_r2.prompts import prompts_for
from langchain_r2.transport import Call, Transport
from langchain_r2.types import Attempt, Subtask


class Execution(NamedTuple):
    """What a model made of a subtask."""

    model: str
    answer: str
    """Empty where there is none, or it was cut off or refused."""
    attempts: list[Attempt]

    @property
    def failed(self) -> bool:
        """Whether the call failed, which says nothing about the model."""
        return self.attempts[-1]["error_type"] is not None

    @property
    def cost_usd(self) -> float | None:
        """Of all its tries; None where a price is unknown."""
        return bill(self.attempts).cost_usd


async def execute(
    transport: Transport,
    spec: ModelSpec,
    query: str,
    subtask: Subtask,
    answers: Mapping[str, str],
    *,
    top_logprobs: int = 0,
    deadline_s: float | None = None,
) -> Execution:
    """Have a model do a subtask, given the answers that it needs."""
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
        top_logprobs=top_logprobs,
        deadline_s=deadline_s,
    )
    outcome = await arun(transport.call(call))
    problem, answer = unusable(outcome, plain=spec.prompt_style == "plain")
    outcome.attempts[-1]["answer"] = answer
    return Execution(spec.name, "" if problem else answer, outcome.attempts)
