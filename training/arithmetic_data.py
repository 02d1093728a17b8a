"""Training texts for worded arithmetic: how a pool model answers, and how a router model plans.

The only place outside the generator that knows arithmetic. A text is a ``(prompt, reply)`` pair in the library's own
prompts (:mod:`langchain_r2.prompts`), so that what is trained is what runs.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from langchain_r2.evals.benchmarks.arithmetic import Problem, compute
from langchain_r2.prompts import bare, plan_lines
from training.example import Example


class Mixture(NamedTuple):
    """Shares of the kinds of texts that a pool model is trained on; they sum to 1."""

    step: float
    """Single steps: those of the problems, their finer parts, and as many drawn evenly over operations and sizes."""
    plan: float
    """Whole problems, and single steps, turned into a plan: this teaches reading at a fifth of a solution's length."""
    cot: float
    """Whole problems, step by step."""
    direct: float
    """Whole problems, the answer at once."""


WHOLE_PROBLEMS: Final = Mixture(step=0.40, plan=0.30, cot=0.25, direct=0.05)
"""For models from 0.6M parameters up."""
BOTH: Final = Mixture(step=0.60, plan=0.15, cot=0.20, direct=0.05)
"""For those of 0.3M parameters."""
STEPS_FIRST: Final = Mixture(step=0.80, plan=0.05, cot=0.10, direct=0.05)
"""For smaller ones: whole problems are beyond them, and with the other mixture they learned single steps badly, too."""
SIGNS: Final = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}


def split_step(resolved: str) -> tuple[int, str, int]:
    """``"33 times 50"`` -> ``(33, "times", 50)``."""
    first, *operation, second = resolved.split()
    return int(first), " ".join(operation), int(second)


def _columns_plus(a: int, b: int) -> str:
    parts, carry = [], 0
    x, y = str(a)[::-1], str(b)[::-1]
    for i in range(max(len(x), len(y))):
        terms = [int(n[i]) for n in (x, y) if i < len(n)] + ([carry] if carry else [])
        total = sum(terms)
        parts.append(" + ".join(map(str, terms)) + (f" = {total}" if len(terms) > 1 else ""))
        carry = total // 10
    return " , ".join(parts)


def _columns_minus(a: int, b: int) -> str:
    parts, borrow = [], 0
    x, y = str(a)[::-1], str(b)[::-1]
    for i in range(len(x)):
        terms = [int(x[i])] + ([int(y[i])] if i < len(y) else []) + ([borrow] if borrow else [])
        left = terms[0] - sum(terms[1:])
        shown = " - ".join(map(str, terms)) + (f" = {left % 10}" if len(terms) > 1 else "")
        borrow = 1 if left < 0 else 0
        parts.append(shown + (" b" if borrow else ""))
    return " , ".join(parts)


def _columns_times(a: int, digit: int) -> str:
    parts, carry = [], 0
    for d in map(int, str(a)[::-1]):
        total = d * digit + carry
        parts.append(f"{d} * {digit}" + (f" + {carry}" if carry else "") + f" = {total}")
        carry = total // 10
    return " , ".join(parts)


def _partial_products(a: int, b: int) -> str:
    """Long multiplication: one partial product per non-zero digit of ``b``, then their sum."""
    parts, total = [], 0
    for place, d in enumerate(map(int, str(b)[::-1])):
        if d == 0:
            continue
        product = a * d
        parts.append(f"{a} * {d} : {_columns_times(a, d)} = {product}" if a > 9 else f"{a} * {d} = {product}")
        shifted = product * 10**place
        if total:
            parts.append(f"{total} + {shifted} : {_columns_plus(total, shifted)} = {total + shifted}")
        total += shifted
    return " ; ".join(parts)


def _long_division(a: int, b: int) -> str:
    parts, rest, started = [], 0, False
    for d in map(int, str(a)):
        rest = rest * 10 + d
        if rest >= b or started:
            started = True
            parts.append(f"{rest} / {b} = {rest // b} r {rest % b}")
            rest %= b
    return " , ".join(parts)


def work(resolved: str) -> str:
    """The written work of a step, as taught in school; empty where the answer is known by heart."""
    a, operation, b = split_step(resolved)
    if operation in {"plus", "minus"}:
        if max(a, b) < 10:
            return ""
        return _columns_plus(a, b) if operation == "plus" else _columns_minus(a, b)
    if operation == "times":
        if a < 10 and b < 10:
            return ""
        if b > a:
            a, b = b, a
        return _columns_times(a, b) if b < 10 else _partial_products(a, b)
    return "" if a < 100 else _long_division(a, b)


def _solution(resolved: str, answer: int, *, works: bool) -> str:
    shown = work(resolved) if works else ""
    return f"{shown} ; {answer}" if shown else str(answer)


def step_example(resolved: str, *, works: bool) -> Example:
    """A single step, answered at once or with the work written out."""
    a, operation, b = split_step(resolved)
    shown = work(resolved) if works else ""
    answer = f"answer : {compute(a, operation, b)}"
    return Example(bare.subtask(resolved).user, f"{shown} ; {answer}" if shown else answer)


def cot_example(problem: Problem, *, works: bool) -> Example:
    """A whole problem, step by step: each step first by the numbers of the steps it needs, then with their answers."""
    lines = []
    for number, step in enumerate(problem.steps, 1):
        shown = step.text if step.text == step.resolved else f"{step.text} = {step.resolved}"
        lines.append(f"{number} : {shown} = {_solution(step.resolved, step.answer, works=works)}")
    return Example(bare.cot(problem.query).user, "\n".join([*lines, f"answer : {problem.answer}"]))


def direct_example(problem: Problem) -> Example:
    """A whole problem, the answer at once."""
    return Example(bare.direct(problem.query).user, f"answer : {problem.answer}")


def sub_plan(resolved: str) -> tuple[str, ...]:
    """The finer plan of one step that is too hard to do in one go: the tens are split off the second factor.

    Returns:
        Subtask texts with ``#n`` references; one text (the step itself) where there is nothing to split.
    """
    a, operation, b = split_step(resolved)
    if operation == "times" and a > 9 and b > 9 and b % 10:
        return f"{a} times {b % 10}", f"{a} times {b // 10 * 10}", "#1 plus #2"
    return (resolved,)


def sub_steps(resolved: str) -> list[str]:
    """The resolved steps of :func:`sub_plan`."""
    plan = sub_plan(resolved)
    if len(plan) == 1:
        return []
    first, second = (split_step(text) for text in plan[:2])
    return [*plan[:2], f"{first[0] * first[2]} plus {second[0] * second[2]}"]


def random_step(rng: random.Random) -> str:
    """A step drawn evenly over the operations and over the sizes of their numbers."""
    while True:
        operation = rng.choice(tuple(SIGNS))
        if operation in {"plus", "minus"}:
            sizes = rng.randint(1, 5), rng.randint(1, 4)
        else:
            sizes = rng.randint(1, 3), rng.choice((1, 1, 2)) if operation == "times" else 1
        a, b = (rng.randint(10 ** (n - 1) if n > 1 else 2, 10**n - 1) for n in sizes)
        if operation == "divided by":
            a *= b
        if compute(a, operation, b) is not None:
            return f"{a} {operation} {b}"


def pool_examples(
    stream: Iterator[Problem], rng: random.Random, *, works: bool, mixture: Mixture = WHOLE_PROBLEMS
) -> Iterator[Example]:
    """Training texts of a pool model, in the shares of a mixture, without end."""
    for problem in stream:
        draw = rng.random()
        if draw < mixture.cot:
            yield cot_example(problem, works=works)
        elif draw < mixture.cot + mixture.direct:
            yield direct_example(problem)
        elif draw < mixture.cot + mixture.direct + mixture.plan:
            yield plan_example(problem)
            if rng.random() < 0.2:
                yield finer_plan_example(rng.choice(problem.steps).resolved)
        else:
            # Several steps for one problem: a step is far shorter than a solution.
            for step in rng.sample(problem.steps, min(2, len(problem.steps))):
                yield step_example(step.resolved, works=works)
                for finer in sub_steps(step.resolved) if rng.random() < 0.3 else ():
                    yield step_example(finer, works=works)
            for _ in range(2):
                yield step_example(random_step(rng), works=works)


def plan_example(problem: Problem) -> Example:
    """A problem and its plan."""
    return Example(bare.decompose(problem.query).user, plan_lines([s.text for s in problem.steps]))


def finer_plan_example(resolved: str) -> Example:
    """A single step and its finer plan (or itself, where there is none): what the decomposer says in a replan."""
    return Example(bare.decompose(resolved).user, plan_lines(sub_plan(resolved)))
