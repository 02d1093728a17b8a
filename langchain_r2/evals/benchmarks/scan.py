"""SCAN (Lake and Baroni 2018): commands such as ``walk left twice after jump``, to be translated into actions.

The whole set, 20,910 pairs, follows from a grammar, and so does every split but ``simple``: no file is needed. A file
(``IN: ... OUT: ...`` a line) or a data set is read where ``data`` names one; then all of it is used.

==============================  =================================================  ========================
split                           test                                               in neither part
==============================  =================================================  ========================
``length``                      more than 22 actions
``addprim_jump``                every command with ``jump`` but ``jump``
``addprim_turn_left``           every command with ``turn left`` but ``turn left``
``template_jump_around_right``  with ``jump around right``                         with ``turn around right``
``template_around_right``       with a verb and ``around right``                   with ``turn around right``
``template_opposite_right``     with a verb and ``opposite right``                 with ``turn opposite right``
``template_right``              with a verb and ``right``                          with ``turn right``
``all``                         every command
==============================  =================================================  ========================
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.base import Benchmark, chosen
from langchain_r2.evals.grading import Grade, right, ungradable, wrong
from langchain_r2.evals.items import GoldStep, Item
from langchain_r2.evals.reading import Row, Source, read_rows

_VERBS: Final = {"walk": "I_WALK", "look": "I_LOOK", "run": "I_RUN", "jump": "I_JUMP"}
_TURNS: Final = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
_TIMES: Final = {"twice": 2, "thrice": 3}
_TEMPLATES: Final = {
    "template_jump_around_right": ("jump around right", "turn around right"),
    "template_around_right": ("(?:walk|look|run|jump) around right", "turn around right"),
    "template_opposite_right": ("(?:walk|look|run|jump) opposite right", "turn opposite right"),
    "template_right": ("(?:walk|look|run|jump) right", "turn right"),
}
_PRIMITIVES: Final = {"addprim_jump": "jump", "addprim_turn_left": "turn left"}
SPLITS: Final = ("length", *_PRIMITIVES, *_TEMPLATES, "all")

_LINE: Final = re.compile(r"\s*IN:\s*(.+?)\s*OUT:\s*(.+?)\s*")
# The paper, the files and later prompts name the same actions differently.
_ACTION: Final = re.compile(r"(?:I_)?(?:TURN[ _]|L(?=TURN)|R(?=TURN))?(?:LEFT|RIGHT|TURN|WALK|LOOK|RUN|JUMP)")
_SAME: Final = {"LTURN": "I_TURN_LEFT", "RTURN": "I_TURN_RIGHT"}

_RULES: Final = """\
Translate the command into actions.
walk, look, run, jump: I_WALK, I_LOOK, I_RUN, I_JUMP.
walk left: turn left, then walk: I_TURN_LEFT I_WALK. walk opposite left: turn left twice, then walk.
walk around left: four times turn left and walk. Likewise look, run, jump, and right (I_TURN_RIGHT).
turn left, turn opposite left, turn around left: only the turns, once, twice, four times.
twice, thrice: repeat what stands before it. X and Y: X, then Y. X after Y: Y, then X.
Give the actions alone, with spaces between.

Command: """


class Command(NamedTuple):
    """A command with its actions."""

    text: str
    actions: tuple[str, ...]


def phrases() -> Iterator[Command]:
    """The 102 commands without ``and`` and ``after``."""
    for verb, times in product(_verb_phrases(), ("", *_TIMES)):
        yield Command(f"{verb.text} {times}".strip(), verb.actions * _TIMES.get(times, 1))


def commands() -> Iterator[Command]:
    """All 20,910 commands."""
    simple = list(phrases())
    yield from simple
    for first, second in product(simple, simple):
        yield Command(f"{first.text} and {second.text}", first.actions + second.actions)
        yield Command(f"{first.text} after {second.text}", second.actions + first.actions)


def split_commands(split: str, part: Literal["train", "test"]) -> list[Command]:
    """One part of a split, each command once (the files of ``addprim`` repeat the primitive in training).

    Raises:
        BadValueError: There is no such split.
    """
    if split not in SPLITS:
        hint = "The simple split was drawn at random: read its file with --data." if split == "simple" else ""
        raise BadValueError("split", split, SPLITS, hint)
    return [command for command in commands() if _part(split, command) == part]


def translate(text: str) -> tuple[str, ...]:
    """The actions of a command.

    Raises:
        BadValueError: It is no command of the grammar.
    """
    for word in (" and ", " after "):
        first, joined, second = text.partition(word)
        if joined:
            both = (_phrase(first), _phrase(second))
            return both[0] + both[1] if word == " and " else both[1] + both[0]
    return _phrase(text)


def decompose(text: str) -> tuple[GoldStep, ...]:
    """A command's parts, each with its actions; a command of one part is one step."""
    steps: list[GoldStep] = []

    def add(part: str, needs: tuple[str, ...], actions: tuple[str, ...]) -> str:
        steps.append(GoldStep(part, needs, " ".join(actions)))
        return str(len(steps))

    def phrase(part: str) -> str:
        verb, _, times = part.rpartition(" ")
        if times in _TIMES:
            id_ = add(verb, (), _phrase(verb))
            return add(f"#{id_} {times}", (id_,), _phrase(part))
        return add(part, (), _phrase(part))

    for word in ("and", "after"):
        first, joined, second = text.partition(f" {word} ")
        if joined:
            one, two = phrase(first), phrase(second)
            add(f"#{one} {word} #{two}", (one, two), translate(text))
            return tuple(steps)
    phrase(text)
    return tuple(steps)


def grade(prediction: str, item: Item) -> Grade:
    """The same actions in the same order, by any of their published names, and nothing else."""
    gold = actions_in(item.gold)
    if not gold:
        return ungradable(f"the gold answer has no actions: {item.gold[:80]!r}")
    return right() if actions_in(prediction) == gold else wrong()


def actions_in(text: str) -> tuple[str, ...] | None:
    """The actions that a text consists of; None where there is something else in it."""
    said = re.sub(r"[\s,.;`\[\]\"']+", " ", text[:10_000]).strip().upper()
    names = _ACTION.findall(said)
    if not names or _ACTION.sub("", said).strip():
        return None
    plain = [name.removeprefix("I_").replace(" ", "_") for name in names]
    return tuple(_SAME.get(name, f"I_{name}") for name in plain)


def load(source: Source) -> list[Item]:
    """Items of a split, or of a file."""
    if source.data is None:
        made = split_commands(source.split, "test")
        return [_item(c.text, c.actions, f"scan-{c.text.replace(' ', '_')}") for c in source.chosen(made)]
    return chosen(source, [(_row_item(row), row.where) for row in read_rows(source, _line)])


def _row_item(row: Row) -> Item:
    command, actions = ("IN", "OUT") if "IN" in row.values else ("commands", "actions")
    text, gold = row.text(command), row.text(actions)
    try:
        translated = translate(text)
    except BadValueError as error:
        raise row.error(command, "a command of SCAN's grammar") from error
    if actions_in(gold) != translated:
        raise row.error(actions, f"the actions of {text!r}: {' '.join(translated)}")
    return _item(text, translated, f"scan-{row.number}")


def _item(text: str, actions: tuple[str, ...], id_: str) -> Item:
    meta = {"command": text, "actions": len(actions)}
    return Item(id_, _RULES + text, " ".join(actions), meta=meta, steps=decompose(text))


def _line(content: str) -> dict[str, Any] | None:
    match = _LINE.fullmatch(content)
    return {"IN": match[1], "OUT": match[2]} if match else None


def _verb_phrases() -> Iterator[Command]:
    for verb, action in _VERBS.items():
        yield Command(verb, (action,))
    for verb, (side, turn) in product(("turn", *_VERBS), _TURNS.items()):
        does = (_VERBS[verb],) if verb in _VERBS else ()
        yield Command(f"{verb} {side}", (turn, *does))
        yield Command(f"{verb} opposite {side}", (turn, turn, *does))
        yield Command(f"{verb} around {side}", (turn, *does) * 4)


def _phrase(text: str) -> tuple[str, ...]:
    if text not in _PHRASES:
        raise BadValueError("command", text, "a command of SCAN's grammar, such as 'walk left twice'")
    return _PHRASES[text]


_PHRASES: Final = {command.text: command.actions for command in phrases()}


def _part(split: str, command: Command) -> str:
    """``test``, ``train``, or nothing where a split leaves a command out."""
    if split == "all":
        return "test"
    if split == "length":
        return "test" if len(command.actions) > 22 else "train"
    if split in _PRIMITIVES:
        held = _PRIMITIVES[split]
        return "test" if re.search(rf"\b{held}\b", command.text) and command.text != held else "train"
    held, left_out = _TEMPLATES[split]
    if re.search(rf"\b{left_out}\b", command.text):
        return ""
    return "test" if re.search(rf"\b{held}\b", command.text) else "train"


BENCHMARK = Benchmark("scan", load, grade, SPLITS)
