"""SCAN's commands: a domain in which a middling model is right on its own, until commands are longer than it has seen.

Plans are pieces whose answers are joined. How fine they are, and from which length on a command is taken apart, is
chosen by ``scan_plans.py`` on commands longer than those that were trained on.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

from tokenizers import Tokenizer

from langchain_r2.embedded.bundle import DOMAINS
from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.scan import Command, actions_in, translate
from langchain_r2.evals.benchmarks.scan_commands import LONGEST, commands_of
from langchain_r2.parsing import QUERY_REFERENCE, parse_plan
from langchain_r2.types import AggregationMode
from training.embedded.domain import Domain, Router, Split, Step, Subtask, Task
from training.embedded.sizes import Size
from training.embedded.tokenizer import build_scan_tokenizer
from training.example import Example
from training.scan_data import Plans, drawn, plan_example, pool_examples

PLANS: Final = "plans.json"
"""In the router's folder: which plans were chosen, and what was tried."""

POOL: Final = (
    Size("scan-nano", 2, 16, 2, False, 1_500_000, 0.02, 0.02, "llama-3.2-1b-instruct (Novita)"),
    Size("scan-micro", 2, 20, 2, False, 1_500_000, 0.03, 0.05, "llama-3.2-3b-instruct (Novita)"),
    Size("scan-tiny", 2, 24, 2, False, 1_500_000, 0.05, 0.08, "llama-3.1-8b-instruct (OpenRouter)"),
    Size("scan-mini", 2, 32, 2, False, 1_500_000, 0.05, 0.15, "gemma-3-12b-it (OpenRouter)"),
    Size("scan-small", 2, 40, 2, False, 1_500_000, 0.10, 0.22, "qwen3-14b (OpenRouter)"),
    Size("scan-medium", 2, 48, 2, False, 3_500_000, 0.14, 0.40, "qwen3-32b (OpenRouter)"),
    Size("scan-large", 2, 64, 2, False, 4_000_000, 0.36, 0.40, "qwen-2.5-72b-instruct (OpenRouter)"),
    Size("scan-xlarge", 2, 80, 2, False, 4_000_000, 0.40, 1.30, "DeepSeek-V3 (Novita, Hugging Face)"),
    Size("scan-max", 2, 88, 2, False, 3_000_000, 2.50, 10.00, "gpt-4o (OpenAI)"),
)
"""Sizes, token budgets and prices, fixed before the router was trained; prices as in ``sizes.py``."""

_ROUTER: Final = Size("scan-router", 2, 40, 2, False, 1_500_000, 0.0, 0.0, "billed as the next larger pool model")


class Scan(Domain):
    """See :mod:`langchain_r2.evals.benchmarks.scan_commands`."""

    name: ClassVar = "scan"
    home: ClassVar = DOMAINS["scan"]
    pool: ClassVar[Sequence[Size]] = POOL
    router: ClassVar = Router(_ROUTER, adapter_tokens=1_500_000, rank=16, batch_tokens=1024, adapter_lr=1e-2)
    lanes: ClassVar[Sequence[Sequence[str]]] = (
        ("plans", "decomposer", *(size.name for size in POOL[:4])),
        tuple(size.name for size in reversed(POOL[4:])),
    )
    last: ClassVar[Sequence[str]] = ("allocator", "calibrate")
    training: ClassVar = "the texts of training/scan_data.py"
    measured: ClassVar = f"commands of at most {LONGEST} actions"
    aggregation: ClassVar[AggregationMode] = "join"
    batch_tokens: ClassVar = 1024
    tried: ClassVar[Mapping[str, Sequence[Any]]] = {
        "undivided": (None, *(size.name for size in POOL[2:5])),
        "threshold": (0.9, 0.95, 0.975),
        "coverage": (0.9,),
    }
    choice_problems: ClassVar = 300

    def muon_lr(self, size: Size) -> float:
        """Twice as high for the smaller ones: they stay behind otherwise, and the larger ones with it."""
        return 1e-2 if size.width < 64 else 5e-3

    def tokenizer(self) -> Tokenizer:
        """That of the grammar's words."""
        return build_scan_tokenizer()

    def pool_texts(self, size: Size) -> Iterator[Example]:
        """Pieces and whole commands."""
        return pool_examples(list(commands_of("train")), random.Random(size.name))

    def base_texts(self, home: Path) -> Iterator[Example]:
        """Every command taken apart: what a plan looks like, before it is learned when to make one."""
        chosen = self.plans(home)._replace(gate=0)
        return (plan_example(c, chosen) for c in drawn(list(commands_of("train")), random.Random("base")))

    def plan_texts(self, home: Path) -> Iterator[Example]:
        """Only the long ones taken apart."""
        chosen = self.plans(home)
        return (plan_example(c, chosen) for c in drawn(list(commands_of("train")), random.Random("adapter")))

    def plans(self, home: Path) -> Plans:
        """The plans that were chosen."""
        chosen = read_json(home / "router" / PLANS)
        return Plans(chosen["fineness"], int(chosen["share"] * LONGEST))

    def tasks(self, split: Split, count: int, shard: str, home: Path) -> list[Task]:
        """Commands drawn from a split; in training every other one is taken apart though it is short."""
        chosen, rng = self.plans(home), random.Random(shard)
        commands = list(islice(drawn(list(commands_of(split)), rng), count))
        apart = chosen._replace(gate=0)
        return [_task(c, apart if split == "train" and n % 2 else chosen) for n, c in enumerate(commands)]

    def subtasks(self, count: int) -> dict[str, Subtask]:
        """Whole commands, by their number of actions."""
        commands = islice(drawn(list(commands_of("validation")), random.Random("calibration")), count)
        return {c.text: Subtask(" ".join(c.actions), _kind(len(c.actions))) for c in commands}

    def grade(self, prediction: str, answer: str) -> bool:
        """The same actions."""
        return actions_in(prediction) == actions_in(answer)

    def is_right_plan(self, reply: str, task: Task) -> bool:
        """Its pieces, done one after another, are the command, and none is longer than models have seen."""
        return plan_is_right(reply, Command(task.query, tuple(task.answer.split())), LONGEST)

    def prepare(self, part: str, home: Path, tokenizer: Tokenizer) -> None:
        """Choose the plans."""
        if part != "plans":
            raise KeyError(part)
        from training.embedded.scan_plans import choose_plans

        choose_plans(self.router, tokenizer, home / "router" / PLANS)


def plan_is_right(reply: str, command: Command, longest: int) -> bool:
    """Whether a plan's pieces are commands, none longer than that, and together do what a command says."""
    texts = [s["text"].replace(QUERY_REFERENCE, command.text) for s in parse_plan(reply, max_subtasks=32).subtasks]
    try:
        done = [translate(text) for text in texts]
    except BadValueError:
        return False
    return bool(done) and sum(done, ()) == command.actions and max(map(len, done)) <= longest


def _task(command: Command, plans: Plans) -> Task:
    texts = plans.of(command)
    resolved = [command.text if text == QUERY_REFERENCE else text for text in texts]
    steps = tuple(Step(t, r, " ".join(translate(r))) for t, r in zip(texts, resolved, strict=True))
    return Task(command.text, " ".join(command.actions), steps)


def _kind(actions: int) -> str:
    low = next(start for start in (17, 13, 9, 5, 1) if actions >= start)
    return f"{low}-{ {17: LONGEST}.get(low, low + 3) } actions"
