"""Labels for the allocator: per step of training problems, the cheapest pool model that gets it right.

Every model answers every step (greedy, so an answer once right is right again); the label search over whole plans with
fewer runs is a later stage's. Labels are drawn from ``train`` problems only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tokenizers import Tokenizer
from tqdm import tqdm

from langchain_r2.embedded.engine import Llama
from langchain_r2.prompts import Card, bare, plan_lines
from langchain_r2.routers.prompted import ALIASES
from training.embedded.domain import Domain, Task
from training.embedded.models import Answer, ask
from training.example import Example

STEP_TOKENS: Final = 256
"""Longest written work of a step."""


class Labelled(NamedTuple):
    """A problem with the rank of the cheapest right model per step, 1 for the weakest."""

    task: Task
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
    domain: Domain, home: Path, engines: Mapping[str, Llama], tokenizer: Tokenizer, count: int
) -> tuple[list[Labelled], dict[str, int]]:
    """Label problems.

    Args:
        domain: Has the problems, and says what is right.
        home: Folder of its models.
        engines: The models that answer, weakest first. A step that none gets right goes to the pool's last model.
        tokenizer: Theirs.
        count: How many problems.

    Returns:
        The labelled problems, and how often each rank is the label.
    """
    drawn = domain.tasks("train", count, "labels", home)
    steps = {s.resolved: s.answer for task in drawn for s in task.steps}
    answers = step_answers(engines, tokenizer, list(steps))
    ranks = {}
    for step, gold in steps.items():
        right = [i for i, name in enumerate(engines, 1) if domain.grade(answers[name][step].text, gold)]
        ranks[step] = right[0] if right else len(domain.pool)
    labelled = [Labelled(task, tuple(ranks[s.resolved] for s in task.steps)) for task in drawn]
    return labelled, {str(r): n for r, n in sorted(Counter(r for item in labelled for r in item.ranks).items())}


def allocation_examples(labelled: Iterable[Labelled], models: int) -> Iterator[Example]:
    """Training texts of the allocator: cards in the pool's order, under fixed names."""
    cards = [Card(name, rank, "", "", "") for rank, name in enumerate(ALIASES[:models], 1)]
    for item in labelled:
        plan = plan_lines([s.text for s in item.task.steps])
        reply = "\n".join(f"{i} : {cards[rank - 1].alias}" for i, rank in enumerate(item.ranks, 1))
        yield Example(bare.allocate(item.task.query, plan, cards=cards).user, reply)
