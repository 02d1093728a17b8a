"""What a grade is, and how any grader's word becomes one.

What cannot be graded is ``ungradable``: it is counted, and is neither right nor wrong. Whether an item can be graded
should depend on the item alone, or else leaving out what cannot be graded would favour some answers.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from langchain_r2.errors import ConfigurationError
from langchain_r2.evals.items import Item
from langchain_r2.scrubbing import scrubbed
from langchain_r2.types import Attempt

_NONE: Final[Mapping[str, float]] = MappingProxyType({})


class Grade(NamedTuple):
    """What a prediction is worth."""

    status: Literal["graded", "ungradable"]
    score: float | None
    """From 0 to 1; None where it is ungradable."""
    reason: str = ""
    measures: Mapping[str, float] = _NONE
    """Further numbers, such as ``f1``; their means are shown in the table."""
    attempts: tuple[Attempt, ...] = ()
    """Calls that the grading itself took. They are billed apart: no method pays for its grader."""


Grader: TypeAlias = Callable[[str, Item], bool | Grade | Awaitable[bool | Grade]]
"""From a prediction and an item to a grade, or simply to right or wrong; it may be ``async``."""


def right(**measures: float) -> Grade:
    """A prediction that is right."""
    return Grade("graded", 1.0, measures=measures)


def wrong(reason: str = "", **measures: float) -> Grade:
    """A prediction that is wrong."""
    return Grade("graded", 0.0, reason, measures)


def ungradable(reason: str) -> Grade:
    """One of which nobody knows."""
    return Grade("ungradable", None, reason)


async def graded(grader: Grader, prediction: str, item: Item) -> Grade:
    """What a grader says. One that raises loses no run that was paid for: the item is ungradable, with the error.

    Raises:
        ConfigurationError: The grader cannot work at all.
    """
    try:
        said = grader(prediction, item)
        said = await said if inspect.isawaitable(said) else said
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a grader's own code raises
        return ungradable(scrubbed(f"the grader failed: {type(error).__name__}: {error}"))
    return said if isinstance(said, Grade) else Grade("graded", float(bool(said)))
