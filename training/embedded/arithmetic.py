"""Worded arithmetic: the domain that is meant where none is named."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer

from langchain_r2.embedded.bundle import HOME
from langchain_r2.evals.benchmarks.arithmetic import grade, problems
from langchain_r2.prompts import plan_lines
from training.arithmetic_data import finer_plan_example, plan_example, pool_examples, random_step, split_step
from training.embedded.domain import Domain, Router, Split, Step, Subtask, Task
from training.embedded.sizes import POOL, ROUTER, SEED, Size, mixture
from training.embedded.supervised import SUPERVISED
from training.embedded.tokenizer import build_tokenizer
from training.example import Example


class Arithmetic(Domain):
    """See :mod:`langchain_r2.evals.benchmarks.arithmetic`."""

    name: ClassVar = "arithmetic"
    home: ClassVar = HOME
    supervised: ClassVar = SUPERVISED
    pool: ClassVar[Sequence[Size]] = POOL
    router: ClassVar = Router(ROUTER, adapter_tokens=2_000_000, rank=16)
    lanes: ClassVar[Sequence[Sequence[str]]] = (
        (POOL[-1].name, "decomposer"),
        (*(size.name for size in reversed(POOL[:-1])), "allocator"),
    )
    last: ClassVar[Sequence[str]] = ("calibrate",)
    training: ClassVar = "the mixture of training/arithmetic_data.py"
    measured: ClassVar = "single steps"
    tried: ClassVar[Mapping[str, Sequence[Any]]] = {"coverage": (0.75, 0.9), "threshold": (0.85, 0.95, 0.97, 0.985)}

    def tokenizer(self) -> Tokenizer:
        """That of the stories' words."""
        return build_tokenizer()

    def pool_texts(self, size: Size) -> Iterator[Example]:
        """By the size's mixture."""
        drawn, rng = problems("train", seed=SEED, shard=size.name), random.Random(size.name)
        return pool_examples(drawn, rng, works=size.works, mixture=mixture(size))

    def base_texts(self, home: Path) -> Iterator[Example]:
        """Problems and single steps."""
        del home
        return plan_texts("router-base")

    def plan_texts(self, home: Path) -> Iterator[Example]:
        """The same, others."""
        del home
        return plan_texts("router-adapter")

    def tasks(self, split: Split, count: int, shard: str, home: Path) -> list[Task]:
        """The first problems of a stream."""
        del home
        return [
            Task(p.query, p.answer, tuple(Step(s.text, s.resolved, str(s.answer)) for s in p.steps))
            for p in islice(problems(split, seed=SEED, shard=shard), count)
        ]

    def subtasks(self, count: int) -> dict[str, Subtask]:
        """The steps of problems, by operation and digits."""
        steps = [s for p in islice(problems("validation", seed=SEED, shard="calibration"), count) for s in p.steps]
        found = {}
        for step in steps:
            a, operation, b = split_step(step.resolved)
            found[step.resolved] = Subtask(str(step.answer), f"{operation} {len(str(a))}x{len(str(b))}")
        return found

    def grade(self, prediction: str, answer: str) -> bool:
        """The same number."""
        return grade(prediction, answer)

    def is_right_plan(self, reply: str, task: Task) -> bool:
        """The generator's."""
        return reply == plan_lines([s.text for s in task.steps])


def plan_texts(shard: str) -> Iterator[Example]:
    """Problems, and single steps as a replan asks for them."""
    rng = random.Random(shard)
    for problem in problems("train", seed=SEED, shard=shard):
        yield plan_example(problem)
        yield finer_plan_example(random_step(rng) if rng.random() < 0.5 else rng.choice(problem.steps).resolved)
