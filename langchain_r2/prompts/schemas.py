"""The forms of structured replies: a plan and an allocation as JSON schemas, in what strict endpoints accept."""

from collections.abc import Sequence
from typing import Any, Final

PLAN: Final[dict[str, Any]] = {
    "title": "plan",
    "type": "object",
    "properties": {"subtasks": {"type": "array", "items": {"type": "string"}}},
    "required": ["subtasks"],
    "additionalProperties": False,
}
"""``{"subtasks": [text, ...]}``; a subtask's number is its place."""


def allocation(numbers: Sequence[str], aliases: Sequence[str]) -> dict[str, Any]:
    """``{"1": alias, ...}``: a known model for every subtask.

    The same for all plans of a size, whatever the order of the cards: endpoints prepare a schema once and keep it.
    """
    choice = {"type": "string", "enum": sorted(aliases)}
    return {
        "title": "allocation",
        "type": "object",
        "properties": dict.fromkeys(numbers, choice),
        "required": list(numbers),
        "additionalProperties": False,
    }
