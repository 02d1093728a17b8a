"""Training texts: the written work is right, and parses back to the answer."""

import random
import re
from itertools import islice

import pytest

from langchain_r2.evals.benchmarks.arithmetic import compute, problems
from langchain_r2.parsing import parse_answer, parse_plan, resolve
from training.arithmetic_data import (
    cot_example,
    finer_plan_example,
    plan_example,
    pool_examples,
    random_step,
    split_step,
    step_example,
    sub_plan,
    sub_steps,
    work,
)

STEPS = [random_step(random.Random(seed)) for seed in range(3000)]


def test_written_work_holds_true_equations() -> None:
    for step in STEPS:
        for left, right in re.findall(r"(?<!\* )\b(\d+(?: \+ \d+)+) = (\d+)", work(step)):
            assert sum(int(n) for n in left.split(" + ")) == int(right), step
        for a, b, carry, right in re.findall(r"(\d) \* (\d)(?: \+ (\d))? = (\d+)", work(step)):
            assert int(a) * int(b) + int(carry or 0) == int(right), step
        for a, b, quotient, rest in re.findall(r"(\d+) / (\d+) = (\d+) r (\d+)", work(step)):
            assert divmod(int(a), int(b)) == (int(quotient), int(rest)), step


@pytest.mark.parametrize("works", [True, False])
def test_a_step_ends_with_its_answer(works: bool) -> None:
    for step in STEPS[:500]:
        a, operation, b = split_step(step)
        assert parse_answer(step_example(step, works=works).reply)[0] == str(compute(a, operation, b))


def test_digits_of_written_sums_make_the_answer() -> None:
    for step in STEPS:
        a, operation, b = split_step(step)
        if operation == "plus" and work(step):
            columns = [part.split("=")[-1].strip() for part in work(step).split(" , ")]
            digits = "".join(c[-1] for c in columns[::-1])
            carry = columns[-1][:-1]
            assert carry + digits == str(a + b)


def test_solutions_follow_the_plan_and_end_with_the_answer() -> None:
    for problem in islice(problems("train"), 200):
        lines = cot_example(problem, works=True).reply.split("\n")
        for number, (line, step) in enumerate(zip(lines[:-1], problem.steps, strict=True), 1):
            shown = [step.text] if step.text == step.resolved else [step.text, step.resolved]
            assert line.startswith(f"{number} : {' = '.join(shown)} = ")
            assert line.endswith(f" {step.answer}")
        assert parse_answer(lines[-1])[0] == problem.answer


def test_plans_parse_cleanly_into_the_reference_plan() -> None:
    for problem in islice(problems("train"), 200):
        parsed = parse_plan(plan_example(problem).reply, max_subtasks=32)
        assert parsed.outcome == "clean"
        assert [s["text"] for s in parsed.subtasks] == [s.text for s in problem.steps]
        assert [tuple(sorted(s["depends_on"])) for s in parsed.subtasks] == [s.depends_on for s in problem.steps]


def test_a_finer_plan_computes_to_the_same_answer() -> None:
    split = 0
    for step in STEPS:
        a, operation, b = split_step(step)
        texts = sub_plan(step)
        answers: dict[str, str] = {}
        for number, text in enumerate(texts, 1):
            x, sign, y = split_step(resolve(text, answers, ""))
            answers[str(number)] = str(compute(x, sign, y))
        assert answers[str(len(texts))] == str(compute(a, operation, b))
        if len(texts) > 1:
            split += 1
            assert [resolve(t, answers, "") for t in texts] == sub_steps(step)
            assert parse_plan(finer_plan_example(step).reply, max_subtasks=9).problem is None
    assert split > 100


def test_the_mixture_has_all_kinds() -> None:
    stream = pool_examples(problems("train"), random.Random(0), works=True)
    keywords = [e.prompt.split(" :")[0] for e in islice(stream, 2000)]
    assert {"solve", "plan", "steps", "direct"} == set(keywords)
