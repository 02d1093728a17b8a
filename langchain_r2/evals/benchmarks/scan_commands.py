"""SCAN's commands alone, without its rules in front: for models that were trained on SCAN.

==============  ==================================================================
split           commands
==============  ==================================================================
``iid``         with ``and`` or ``after``, at most 22 actions, held out by a hash
``length``      more than 22 actions: longer than any other split has
``validation``  as ``iid``, others
``train``       the rest; not to be evaluated on
==============  ==================================================================
"""

import hashlib
from collections.abc import Iterator
from typing import Final, Literal

from langchain_r2.evals.benchmarks.base import Benchmark
from langchain_r2.evals.benchmarks.scan import Command, commands, decompose, grade
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Source

Split = Literal["train", "validation", "iid", "length"]

LONGEST: Final = 22
"""Most actions of a command that is not in ``length``: SCAN's own length split."""
_HUNDREDTHS: Final[dict[Split, range]] = {"iid": range(20), "validation": range(20, 35)}
"""Which hundredths of the hash of a command belong to a split."""


def split_of(command: Command) -> Split:
    """The one split that a command is in."""
    if len(command.actions) > LONGEST:
        return "length"
    if " and " not in command.text and " after " not in command.text:
        return "train"
    place = int(hashlib.sha256(command.text.encode()).hexdigest()[:8], 16) % 100
    for split, own in _HUNDREDTHS.items():
        if place in own:
            return split
    return "train"


def commands_of(split: Split) -> Iterator[Command]:
    """All commands of a split, in the order of the grammar."""
    return (command for command in commands() if split_of(command) == split)


def command_item(command: Command) -> Item:
    """A command as an item: the query is the command."""
    meta = {"command": command.text, "actions": len(command.actions)}
    id_ = f"scan-{command.text.replace(' ', '_')}"
    return Item(id_, command.text, " ".join(command.actions), meta=meta, steps=decompose(command.text))


def _load(source: Source) -> list[Item]:
    # `load_items` has checked the split.
    return [command_item(c) for c in source.chosen([c for c in commands() if split_of(c) == source.split])]


BENCHMARK = Benchmark("scan-commands", _load, grade, ("iid", "length", "validation"), pool="embedded-scan")
