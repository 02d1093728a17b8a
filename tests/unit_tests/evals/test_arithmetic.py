"""The worded-arithmetic benchmark: right answers, apart splits, an exact grader."""

import re
from itertools import islice

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import load_items
from langchain_r2.evals.benchmarks.arithmetic import Problem, Split, compute, grade, problems
from langchain_r2.evals.benchmarks.arithmetic_stories import (
    CLAUSES,
    FINALES,
    LONGER_TEMPLATES,
    TEMPLATES,
    Clause,
    Finale,
)

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "wordings", "longer")


def drawn(split: Split, count: int = 400, seed: int = 0) -> list[Problem]:
    return list(islice(problems(split, seed=seed), count))


def put_in(answers: dict[str, int], text: str) -> str:
    return re.sub(r"#(\d+)", lambda m: str(answers[m[1]]), text)


@pytest.mark.parametrize("split", SPLITS)
def test_reference_plans_compute_to_the_answer(split: Split) -> None:
    for problem in drawn(split):
        answers: dict[str, int] = {}
        for number, step in enumerate(problem.steps, 1):
            text = put_in(answers, step.text)
            assert text == step.resolved
            assert set(re.findall(r"#(\d+)", step.text)) == set(step.depends_on)
            first, *operation, second = text.split()
            result = compute(int(first), " ".join(operation), int(second))
            assert result == step.answer
            answers[str(number)] = step.answer
        assert problem.answer == str(problem.steps[-1].answer)


@pytest.mark.parametrize("split", SPLITS)
def test_every_number_of_a_plan_stands_in_the_text(split: Split) -> None:
    for problem in drawn(split):
        stated = re.findall(r"\d+", problem.query)
        for step in problem.steps:
            for number in re.findall(r"(?<!#)\b\d+", step.text):
                assert number in stated


def test_templates_are_many_and_of_the_promised_lengths() -> None:
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 25
    assert {t.steps for t in TEMPLATES} == {1, 2, 3, 4, 5, 6}
    assert {t.steps for t in LONGER_TEMPLATES} == {7, 8, 9}
    assert any(len(t.clauses) > 1 and t.steps > 2 for t in TEMPLATES)


def test_no_text_and_no_numbers_are_in_two_splits() -> None:
    texts = {split: {p.query for p in drawn(split, 500)} for split in SPLITS}
    numbers = {
        split: {(*sorted(re.findall(r"\d+", " ".join(s.text for s in p.steps))), p.template) for p in drawn(split, 500)}
        for split in SPLITS
    }
    for a in SPLITS:
        for b in SPLITS:
            if a < b:
                assert not texts[a] & texts[b]
    # The hash is over the numbers in the order drawn: problems of one template with one multiset may differ in order.
    shared = numbers["train"] & numbers["test"]
    assert len(shared) < 0.02 * len(numbers["test"])


def test_wordings_of_the_wordings_split_occur_nowhere_else() -> None:
    parts: list[Clause | Finale] = [*CLAUSES.values(), *FINALES.values()]
    held = [w for part in parts for w in part.wordings[-1:]]
    usual = [w for part in parts for w in part.wordings[:-1]]
    assert not set(held) & set(usual)
    masks = [re.compile(re.sub(r"\\{\w\\}", r"\\w+", re.escape(w))) for w in held]
    assert all(any(m.search(p.query) for m in masks) for p in drawn("wordings", 50))


def test_wordings_split_uses_known_words_only() -> None:
    def words(split: Split) -> set[str]:
        return {w for p in drawn(split, 800) for w in p.query.split() if not w.isdigit()}

    assert words("wordings") <= words("train")
    assert words("longer") <= words("train")


def test_same_seed_same_problems() -> None:
    assert drawn("test", 50) == drawn("test", 50)
    assert drawn("test", 50) != drawn("test", 50, seed=1)


@pytest.mark.parametrize("split", SPLITS)
def test_gold_answers_score_one_and_broken_ones_zero(split: Split) -> None:
    for problem in drawn(split, 100):
        assert grade(problem.answer, problem.answer)
        assert not grade(problem.answer + "0", problem.answer)
        assert not grade(str(int(problem.answer) + 1), problem.answer)


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        ("1650", True),
        (" 1,650 ", True),
        ("1650.", True),
        ("1650.0", False),
        ("", False),
        ("165", False),
        ("x1650", False),
        ("-1650", False),
    ],
)
def test_grader(prediction: str, right: bool) -> None:
    assert grade(prediction, "1650") is right


@pytest.mark.parametrize(
    ("a", "operation", "b", "result"),
    [
        (7, "divided by", 2, None),
        (8, "divided by", 2, 4),
        (1, "divided by", 0, None),
        (3, "minus", 4, None),
        (999, "times", 999, None),
    ],
)
def test_steps_that_do_not_work_out(a: int, operation: str, b: int, result: int | None) -> None:
    assert compute(a, operation, b) == result


@pytest.mark.parametrize(
    ("name", "split", "limit", "named"),
    [("algebra", "test", 1, "algebra"), ("arithmetic", "train", 1, "train"), ("arithmetic", "test", 0, "0")],
)
def test_wrong_use_says_what_is_allowed(name: str, split: str, limit: int, named: str) -> None:
    with pytest.raises(BadValueError, match=named):
        load_items(name, split=split, limit=limit)
