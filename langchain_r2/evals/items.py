"""What a benchmark consists of: questions with their right answers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class GoldStep(NamedTuple):
    """One step of a decomposition that the data has."""

    text: str
    """The subtask, with ``#1`` for the answer of the first step."""
    depends_on: tuple[str, ...]
    """Ids of the steps whose answers it needs; the first step's id is ``1``."""
    answer: str


class Item(NamedTuple):
    """One question with its right answer."""

    id: str
    query: str
    """All that a model is shown of it."""
    gold: str
    aliases: tuple[str, ...] = ()
    """Other right answers."""
    meta: Mapping[str, Any] = _NOTHING
    """What else its grader needs, such as the choices; never shown to a model."""
    steps: tuple[GoldStep, ...] = ()
    """A right decomposition, where the data has one."""
