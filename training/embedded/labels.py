"""Labels for the allocator: per step of training problems, the cheapest pool model that gets it right.

Every model answers every step (greedy, so an answer once right is right again); the label search over whole plans with
fewer runs is a later stage's. Labels are drawn from ``train`` problems only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tokenizers import Tokenizer
from tqdm import tqdm

from langchain_r2.embedded.engine import Llama
from langchain_r2.evals.benchmarks.arithmetic import Problem, grade, problems
from langchain_r2.prompts import Card, bare, plan_lines
from langchain_r2.routers.prompted import ALIASES
from training.arithmetic_data import Example
from training.embedded.models import SEED, Answer, ask

STEP_TOKENS: Final = 256
"""Longest written work of a step."""


class Labelled(NamedTuple):
    """A problem with the rank of the cheapest right model per step, 1 for the weakest."""

    problem: Problem
    ranks: tuple[int, ...]


def step_answers(
    engines: Mapping[str, Llama], tokenizer: Tokenizer, steps: Sequence[str]
) -> dict[str, dict[str, Answer]]:
    """Answers by model name and step."""
    prompts = [bare.subtask(step).user for step in steps]
    found = {}
    for name, engine in tqdm(engines.items(), desc="answering steps", unit="model"):
        found[name] = dict(zip(steps, ask(engine, tokenizer, prompts, STEP_TOKENS), strict=True))
    return found


def label(
    engines: Mapping[str, Llama], tokenizer: Tokenizer, count: int, *, models: int
) -> tuple[list[Labelled], dict[str, int]]:
    """Label problems.

    Args:
        engines: The models that answer, weakest first. A step that none gets right goes to the pool's last model.
        tokenizer: Theirs.
        count: How many problems.
        models: How many models the pool has.

    Returns:
        The labelled problems, and how often each rank is the label.
    """
    drawn = list(islice(problems("train", seed=SEED, shard="labels"), count))
    steps = {s.resolved: str(s.answer) for p in drawn for s in p.steps}
    answers = step_answers(engines, tokenizer, list(steps))
    ranks = {}
    for step, gold in steps.items():
        right = [i for i, name in enumerate(engines, 1) if grade(answers[name][step].text, gold)]
        ranks[step] = right[0] if right else models
    labelled = [Labelled(p, tuple(ranks[s.resolved] for s in p.steps)) for p in drawn]
    return labelled, {str(r): n for r, n in sorted(Counter(r for item in labelled for r in item.ranks).items())}


def allocation_examples(labelled: Iterable[Labelled], models: int) -> Iterator[Example]:
    """Training texts of the allocator: cards in the pool's order, under fixed names."""
    cards = [Card(name, rank, "", "", "") for rank, name in enumerate(ALIASES[:models], 1)]
    for item in labelled:
        plan = plan_lines([s.text for s in item.problem.steps])
        reply = "\n".join(f"{i} : {cards[rank - 1].alias}" for i, rank in enumerate(item.ranks, 1))
        yield Example(bare.allocate(item.problem.query, plan, cards=cards).user, reply)
