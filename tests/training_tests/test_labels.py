"""Labels for the allocator, on models made here."""

from pathlib import Path

import pytest

from langchain_r2.parsing import parse_allocation
from training.embedded import labels
from training.embedded.arithmetic import Arithmetic
from training.embedded.labels import Labelled, allocation_examples, label
from training.embedded.models import Answer
from training.embedded.tokenizer import build_tokenizer

ARITHMETIC = Arithmetic()


def test_an_example_names_the_labelled_model_by_its_alias() -> None:
    for task in ARITHMETIC.tasks("train", 20, "labels", Path()):
        item = Labelled(task, tuple(1 + i % 9 for i in range(len(task.steps))))
        (example,) = allocation_examples([item], 9)
        words = example.prompt.split("\n")[0].removeprefix("pool : ").split()
        rank = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        assert list(rank.values()) == list(range(1, 10))
        ids = [str(i) for i in range(1, len(task.steps) + 1)]
        parsed = parse_allocation(example.reply, subtask_ids=ids, aliases=list(rank))
        assert parsed.outcome == "clean"
        assert tuple(rank[parsed.aliases[i]] for i in ids) == item.ranks


def test_the_label_is_the_cheapest_right_model_and_else_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model 1 is right on even answers, model 2 on answers under 500, nobody on the others."""

    def answers(engines: object, tokenizer: object, steps: list[str]) -> dict[str, dict[str, Answer]]:
        gold = {
            s.resolved: int(s.answer) for task in ARITHMETIC.tasks("train", 30, "labels", Path()) for s in task.steps
        }
        first = {s: Answer(str(gold[s] if gold[s] % 2 == 0 else -1), 0.0, 1) for s in steps}
        second = {s: Answer(str(gold[s] if gold[s] < 500 else -1), 0.0, 1) for s in steps}
        return {"a": first, "b": second}

    monkeypatch.setattr(labels, "step_answers", answers)
    made, histogram = label(ARITHMETIC, Path(), {"a": None, "b": None}, build_tokenizer(), 30)  # type: ignore[dict-item]
    for item in made:
        for step, rank in zip(item.task.steps, item.ranks, strict=True):
            assert rank == (1 if int(step.answer) % 2 == 0 else 2 if int(step.answer) < 500 else len(ARITHMETIC.pool))
    assert sum(histogram.values()) == sum(len(i.ranks) for i in made)
    assert set(histogram) == {"1", "2", "9"}
