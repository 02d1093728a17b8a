"""What a row of the scoreboard is: scenarios that pass or fail, and the protections that they show.

A module ``rN_*.py`` or ``sN_*.py`` in this folder offers its row as ``ROW``. Its scenarios contact no address but
loopback.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one scenario ended."""

    row: str
    scenario: str
    passed: bool
    details: dict[str, Any] = field(default_factory=dict)
    """JSON data: what was seen, and under ``why`` what was wrong."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    id: str
    title: str
    criterion: str
    run: Callable[[bool], Iterable[Outcome]]
    """``run(quick)``: all scenarios, or the few that ``make test`` has time for (a few seconds)."""
    protections: Mapping[str, Callable[[], AbstractContextManager[Any]]]
    """What the library protects by. In each context, which patches the library from here, ``run(True)`` must fail."""
    stock: Callable[[bool], Iterable[Outcome]] | None = None
    """The same for ChatOpenAI as it comes, where that makes sense."""


def rows() -> dict[str, Row]:
    """All rows by id, in order."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[rs][0-9]*_*.py"))
    found: list[Row] = [import_module(f"tests.scoreboard.{name}").ROW for name in names]
    return {row.id: row for row in sorted(found, key=lambda row: (row.id[0], int(row.id[1:])))}


def judged(row: str, scenario: str, wrong: Mapping[str, bool], **details: Any) -> Outcome:
    """The outcome of a scenario that passed unless one of the named things went wrong."""
    why = [name for name, happened in wrong.items() if happened]
    return Outcome(row=row, scenario=scenario, passed=not why, details={**details, **({"why": why} if why else {})})


def guarded(row: str, scenario: str, work: Callable[[], Outcome]) -> Outcome:
    """The outcome of a scenario; an exception that it lets through is a failure."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the other scenarios
        return Outcome(
            row=row, scenario=scenario, passed=False, details={"why": [f"{type(error).__name__}: {error}"[:500]]}
        )


def looked_again(work: Callable[[], Outcome], late: Iterable[str]) -> Outcome:
    """The outcome of a scenario about time, with a second look: other programs of the machine may hold one up.

    Args:
        work: The scenario.
        late: What may have gone wrong for that reason; anything else counts at once, and so does being very late.
    """
    excused = set(late)
    for look in (1, 2, 3):
        started = time.monotonic()
        outcome = work()
        why = set(outcome.details.get("why", []))
        outcome.details["looks"] = look
        if not why or why - excused or time.monotonic() - started > VERY_LATE_S:
            break
    return outcome


VERY_LATE_S: Final = 8.0
"""No busy machine explains a scenario of a second that takes longer."""
OURS: Final = "ours"
STOCK: Final = "stock"
