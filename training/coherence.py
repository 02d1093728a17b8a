"""Whether a subtask follows from the one before it without a gap: ``coe`` of METHOD 2.4, from 0 to 1.

Pluggable: overlap of words, cosine of any LangChain embeddings, or a pool model's judgement.
"""

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from langchain_core.embeddings import Embeddings

from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call, Transport
from langchain_r2.types import Subtask

Coherence: TypeAlias = Callable[[Subtask, Subtask], Awaitable[float | None]]
"""From a subtask and a later one that needs it to how well that follows; None where nobody can say."""

_WORD = re.compile(r"#?\w+")


async def overlap(earlier: Subtask, later: Subtask) -> float:
    """Share of words that the two have in common, of the one that has fewer; a reference is a word of both."""
    words = [set(_WORD.findall(text.lower())) for text in (earlier["text"], later["text"])]
    words[0].add(f"#{earlier['id'].lower()}")
    return len(words[0] & words[1]) / max(1, min(map(len, words)))


def by_embeddings(embeddings: Embeddings) -> Coherence:
    """Cosine of the texts' embeddings; one that points the other way counts as 0."""

    async def cosine(earlier: Subtask, later: Subtask) -> float:
        a, b = await embeddings.aembed_documents([earlier["text"], later["text"]])
        length = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
        return max(0.0, sum(x * y for x, y in zip(a, b, strict=True)) / length) if length else 0.0

    return cosine


def by_judge(spec: ModelSpec, transport: Transport) -> Coherence:
    """A model's judgement; its calls are metered under its own name."""

    async def judged(earlier: Subtask, later: Subtask) -> float | None:
        system = (
            "Step B of a plan uses the answer of step A. Does B follow from A without a gap? "
            "Reply with one number from 0 (not at all) to 1 (fully), and nothing else."
        )
        prompt = Prompt(f"A ({earlier['id']}): {earlier['text']}\nB ({later['id']}): {later['text']}", system)
        call = Call(spec=spec, prompt=prompt, role="evaluator", budget=Budget(), temperature=0.0)
        outcome = await arun(transport.call(call))
        found = re.search(r"\d+(?:\.\d+)?", outcome.reply.text) if outcome.reply else None
        return min(1.0, float(found[0])) if found else None

    return judged


def coherence_named(name: str, pool: ModelPool, transport: Transport) -> Coherence:
    """The one that a setting names.

    Raises:
        BadValueError: There is none of that name, or the judge reads no instructions.
        UnknownModelError: The pool has no such judge.
        MissingExtraError: Embeddings of a provider need LangChain.
    """
    kind, _, rest = name.partition(":")
    if name == "overlap":
        return overlap
    if kind == "judge" and rest:
        if pool[rest].prompt_style != "instruct":
            raise BadValueError("coherence", name, "a judge that reads instructions", "Use overlap instead.")
        return by_judge(pool[rest], transport)
    if kind == "embeddings" and rest:
        try:
            from langchain.embeddings import init_embeddings
        except ImportError as error:
            raise MissingExtraError("embeddings of a provider", "agents") from error
        made = init_embeddings(rest)
        if not isinstance(made, Embeddings):
            raise BadValueError("coherence", name, "embeddings:PROVIDER:MODEL")
        return by_embeddings(made)
    raise BadValueError("coherence", name, "overlap, judge:NAME or embeddings:PROVIDER:MODEL")


async def mean_coherence(subtasks: Sequence[Subtask], coherence: Coherence) -> float:
    """Mean over the pairs of a subtask and one that needs it; 1 where there are none, or none can be judged."""
    by_id = {s["id"]: s for s in subtasks}
    pairs = [(by_id[d], s) for s in subtasks for d in s["depends_on"]]
    values = [value for pair in pairs if (value := await coherence(*pair)) is not None]
    return sum(values) / len(values) if values else 1.0
