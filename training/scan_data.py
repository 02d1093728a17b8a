"""Training texts for SCAN: how a pool model answers, and how a router model plans.

Beside the benchmark the only place that knows SCAN's grammar. A text is a ``(prompt, reply)`` pair in the library's own
prompts (:mod:`langchain_r2.prompts`), so that what is trained is what runs.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from langchain_r2.evals.benchmarks.scan import Command, translate
from langchain_r2.parsing import QUERY_REFERENCE
from langchain_r2.prompts import bare, plan_lines
from training.example import Example

Fineness = Literal["conjuncts", "repeats", "turns"]
"""How far plans take a command apart: at ``and`` and ``after``; repetitions, too; ``around`` and ``opposite``, too."""

_TIMES: Final = {"twice": 2, "thrice": 3}


class Plans(NamedTuple):
    """Which plans a decomposer is taught."""

    fineness: Fineness
    gate: int
    """Most actions of a command that is not taken apart."""

    def of(self, command: Command) -> tuple[str, ...]:
        """The texts of a command's plan."""
        return (QUERY_REFERENCE,) if len(command.actions) <= self.gate else pieces(command.text, self.fineness)


def pieces(text: str, fineness: Fineness) -> tuple[str, ...]:
    """A command as shorter commands, in the order in which they are done."""
    for word in (" and ", " after "):
        first, joined, second = text.partition(word)
        if joined:
            both = (first, second) if word == " and " else (second, first)
            return tuple(piece for part in both for piece in pieces(part, fineness))
    verb, _, times = text.rpartition(" ")
    if fineness != "conjuncts" and times in _TIMES:
        return pieces(verb, fineness) * _TIMES[times]
    return _turned(text) if fineness == "turns" else (text,)


def _turned(text: str) -> tuple[str, ...]:
    """``walk around left`` is four times ``walk left``; ``walk opposite left`` turns round first."""
    verb, *way = text.split()
    if way[:1] == ["around"]:
        return (f"{verb} {way[1]}",) * 4
    if way[:1] == ["opposite"] and verb != "turn":
        return (f"turn opposite {way[1]}", verb)
    return (text,)


def answer_of(command: Command) -> str:
    """What a model replies that answers at once."""
    return f"answer : {' '.join(command.actions)}"


def solve_example(command: Command) -> Example:
    """A subtask."""
    return Example(bare.subtask(command.text).user, answer_of(command))


def direct_example(command: Command) -> Example:
    """A whole command, the answer at once."""
    return Example(bare.direct(command.text).user, answer_of(command))


def cot_example(command: Command) -> Example:
    """A whole command, piece by piece, then all of it."""
    lines = [f"{piece} = {' '.join(translate(piece))}" for piece in pieces(command.text, "repeats")]
    return Example(bare.cot(command.text).user, f"{plan_lines(lines)}\n{answer_of(command)}")


def plan_example(command: Command, plans: Plans) -> Example:
    """A command and its plan."""
    return Example(bare.decompose(command.text).user, plan_lines(plans.of(command)))


def pool_examples(commands: Sequence[Command], rng: random.Random) -> Iterator[Example]:
    """Training texts of a pool model, without end: subtasks, whole commands at once, and piece by piece."""
    for command in drawn(commands, rng):
        part = rng.choice(pieces(command.text, rng.choice(("conjuncts", "repeats", "turns"))))
        yield solve_example(Command(part, translate(part)))
        yield solve_example(command)
        yield direct_example(command)
        if rng.random() < _COT:
            yield cot_example(command)


_COT: Final = 0.25
"""Texts piece by piece, for each command: they are three times as long as the others."""


def drawn(commands: Sequence[Command], rng: random.Random) -> Iterator[Command]:
    """Commands in an order drawn anew for each round."""
    order = list(commands)
    while True:
        rng.shuffle(order)
        yield from order
