"""Worded arithmetic: multi-step word problems in plain English, generated with seeds and graded by computing.

The embedded pool's own benchmark. Every split is a stream of problems without end, the same for the same seed:

==============  =====================================================================================
``train``       problems of 1 to 6 steps
``validation``  the same kind, other problems: thresholds and settings are chosen on it
``test``        the same kind, other problems
``wordings``    as ``test``, but every clause is worded in a way that no other split uses
``longer``      problems of 7 to 9 steps, more than in any other split
==============  =====================================================================================

Splits are apart by the numbers of a problem (a hash of them decides which split may use them) and by its text.
"""

import hashlib
import random
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.arithmetic_stories import (
    BOXES,
    CLAUSES,
    DISTRACTORS,
    FINALES,
    ITEMS,
    LONGER_TEMPLATES,
    NAMES,
    TEMPLATES,
    Clause,
    Finale,
    Template,
)

Split = Literal["train", "validation", "test", "wordings", "longer"]
"""Name of a stream of problems; see the module's docstring."""

_SHARES: Final[dict[Split, range]] = {
    "test": range(5),
    "wordings": range(5, 10),
    "longer": range(10, 15),
    "validation": range(15, 20),
    "train": range(20, 100),
}
"""Which hundredths of the hash of a problem's numbers belong to a split."""

_LARGEST: Final = 99_999
"""No intermediate result is larger than this."""


class Step(NamedTuple):
    """One step of the reference plan."""

    text: str
    """The subtask, with ``#1`` for the answer of the first step."""
    depends_on: tuple[str, ...]
    """Ids of the steps whose answers it needs."""
    resolved: str
    """The subtask with the numbers put in: ``33 times 50``."""
    answer: int


class Problem(NamedTuple):
    """A word problem with its reference plan."""

    id: str
    query: str
    answer: str
    steps: tuple[Step, ...]
    template: str


def compute(a: int, operation: str, b: int) -> int | None:
    """Result of one step, or None where it is negative, not whole, or too large for this benchmark."""
    if operation == "divided by":
        return a // b if b and a % b == 0 else None
    value = {"plus": a + b, "minus": a - b, "times": a * b}[operation]
    return value if 0 <= value <= _LARGEST else None


def problems(split: Split, *, seed: int = 0, shard: str = "") -> Iterator[Problem]:
    """Yield the problems of a split, without end.

    Args:
        split: Which stream.
        seed: The same seed gives the same problems in the same order.
        shard: A word that makes further streams of the same split and seed.

    Raises:
        BadValueError: There is no such split.
    """
    if split not in get_args(Split):
        raise BadValueError("split", split, allowed=get_args(Split))
    rng = random.Random(f"{split}/{seed}/{shard}")  # noqa: S311 - a reproducible benchmark, not a secret
    templates = LONGER_TEMPLATES if split == "longer" else TEMPLATES
    by_steps: dict[int, list[Template]] = {}
    for template in templates:
        by_steps.setdefault(template.steps, []).append(template)
    seen: set[str] = set()
    while True:
        template = rng.choice(by_steps[rng.choice(sorted(by_steps))])
        draft = _draft(template, rng, held_out=split == "wordings")
        if draft is None or draft.query in seen or _hundredth(draft.numbers) not in _SHARES[split]:
            continue
        seen.add(draft.query)
        if len(seen) > 1_000_000:  # a bound on memory; a training run draws fewer
            seen.clear()
        digest = hashlib.sha256(draft.query.encode()).hexdigest()[:12]
        yield Problem(f"{split}-{digest}", draft.query, str(draft.steps[-1].answer), draft.steps, str(template))


def grade(prediction: str, answer: str) -> bool:
    """Whether a predicted answer is the right number; thousands separators and surrounding spaces do not matter."""
    return prediction.strip().rstrip(".").replace(",", "").strip() == answer


class _Draft(NamedTuple):
    query: str
    numbers: tuple[int, ...]
    steps: tuple[Step, ...]


def _hundredth(numbers: tuple[int, ...]) -> int:
    return int(hashlib.sha256(repr(numbers).encode()).hexdigest()[:8], 16) % 100


class _Value(NamedTuple):
    """A number of the story, or the answer of a step (then with the step's id)."""

    value: int
    step: str | None = None


def _draft(template: Template, rng: random.Random, *, held_out: bool) -> _Draft | None:
    """Draw one problem; None when the numbers drawn do not work out."""
    people = rng.sample(NAMES, 3)
    item, box = rng.choice(ITEMS), rng.choice(BOXES)
    steps: list[Step] = []
    numbers: list[int] = []
    quantities: list[_Value] = []
    sentences: list[str] = []
    for person, name in zip(people, template.clauses, strict=False):
        clause = CLAUSES[name]
        values = _draw_numbers(name, rng)
        numbers += [v.value for v in values.values()]
        quantity = _append_steps(clause.steps, values, steps)
        if quantity is None:
            return None
        quantities.append(quantity)
        words = {k: v.value for k, v in values.items()}
        sentences.append(_wording(clause, rng, held_out).format(p=person, x=item, y=box, **words) + " .")
    finale = FINALES[template.finale]
    values = dict(zip("pqs", quantities, strict=False))
    if any("k" in step.split() for step in finale.steps):
        values["k"] = _Value(_draw_finale_number(finale, rng))
        numbers.append(values["k"].value)
    if finale.steps and _append_steps(finale.steps, values, steps) is None:
        return None
    if rng.random() < 0.3:
        odd = rng.choice(DISTRACTORS).format(p=people[0], n=rng.randint(2, 99))
        sentences.insert(rng.randint(0, len(sentences)), odd)
    names = dict(zip("pqs", people, strict=True))
    question = _wording(finale, rng, held_out)
    sentences.append(question.format(x=item, y=box, k=values["k"].value if "k" in values else "", **names))
    return _Draft(" ".join(sentences), tuple(numbers), tuple(steps))


def _wording(part: Clause | Finale, rng: random.Random, held_out: bool) -> str:
    return part.wordings[-1] if held_out else rng.choice(part.wordings[:-1])


def _digits(rng: random.Random, count: int) -> int:
    """A random number of that many digits, at least 2."""
    return rng.randint(2, 9) if count == 1 else rng.randint(10 ** (count - 1), 10**count - 1)


def _draw_product(rng: random.Random) -> tuple[int, int]:
    """Two factors; the first has at least as many digits as the second."""
    long, short = rng.choices(((1, 1), (2, 1), (3, 1), (2, 2), (3, 2)), (15, 30, 20, 27, 8))[0]
    return _digits(rng, long), _digits(rng, short)


def _draw_numbers(clause: str, rng: random.Random) -> dict[str, _Value]:
    """Numbers ``a b c d`` that suit a clause."""
    if clause == "own":
        drawn = [_digits(rng, rng.choice((1, 2, 2, 3, 3, 4)))]
    elif clause in {"pack", "daily"}:
        drawn = [*_draw_product(rng)]
    elif clause in {"pack_gain", "pack_loss"}:
        drawn = [*_draw_product(rng), _digits(rng, rng.choice((1, 2, 2, 3)))]
    elif clause == "two_packs":
        drawn = [*_draw_product(rng), *_draw_product(rng)]
    elif clause in {"share", "share_gain"}:
        divisor = _digits(rng, 1)
        drawn = [divisor * _digits(rng, rng.choice((1, 2, 2, 3))), divisor, _digits(rng, rng.choice((1, 2, 3)))]
        drawn = drawn if clause == "share_gain" else drawn[:2]
    else:  # gain, loss, gain_loss
        count = rng.choice((1, 2, 2, 3, 3, 4))
        drawn = [_digits(rng, count), _digits(rng, max(1, count - rng.choice((0, 0, 1)))), _digits(rng, count)]
        drawn = drawn if clause == "gain_loss" else drawn[:2]
    return {name: _Value(value) for name, value in zip("abcd", drawn, strict=False)}


def _draw_finale_number(finale: Finale, rng: random.Random) -> int:
    return _digits(rng, rng.choice((1, 2, 2, 3)) if "minus" in finale.steps[-1] else 1)


def _append_steps(rules: tuple[str, ...], values: dict[str, _Value], steps: list[Step]) -> _Value | None:
    """Append the steps of a clause or finale; return its last result, or None where a step does not work out."""
    before = len(steps)
    result = values.get("a", values.get("p", _Value(0)))
    for rule in rules:
        first, *operation, second = rule.split()
        known = {
            **values,
            "@": result,
            "@1": _Value(steps[before].answer, str(before + 1)) if len(steps) > before else result,
        }
        a, b = known[first], known[second]
        answer = compute(a.value, " ".join(operation), b.value)
        if answer is None:
            return None
        shown = [f"#{v.step}" if v.step else str(v.value) for v in (a, b)]
        steps.append(
            Step(
                f"{shown[0]} {' '.join(operation)} {shown[1]}",
                tuple(sorted({v.step for v in (a, b) if v.step})),
                f"{a.value} {' '.join(operation)} {b.value}",
                answer,
            )
        )
        result = _Value(answer, str(len(steps)))
    return result
