"""From model text to plans, allocations and answers; every result says whether it was clean, repaired or malformed."""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from langchain_r2.json_text import PlanRow, allocation_rows, find_json, plan_rows, whole_json
from langchain_r2.types import ParseOutcome, Subtask

QUERY_REFERENCE: Final = "#query"
"""In a subtask's text, stands for the query itself: the plan ``1: #query`` means "do not decompose"."""

_REFERENCE = re.compile(r"#\s?([A-Za-z0-9_](?:[A-Za-z0-9_.]{0,38}[A-Za-z0-9_])?)")
# Matched against whole lines without space around them. None of these may take more than linear time: models write
# anything, and a pattern that could be matched in many ways would stop the program.
_CLEAN_LINE = re.compile(r"([0-9]{1,4})\s*:\s*(\S.*)")
_LOOSE_LINE = re.compile(
    r"(?:[-*>]\s*)?(?:\*\*)?(?:(?:sub-?task|step|task)\s*)?#?([0-9]{1,4})\s*[.:)\]-]+(?:\*\*)?\s*(\S.*)", re.IGNORECASE
)
_NEEDS = re.compile(r"[(\[]\s*(?:needs|depends on|after)\b([#\w.,:\s]+)[)\]]", re.IGNORECASE)
_ANSWER = re.compile(r"\banswer\s*:\s*", re.IGNORECASE)
_TAGGED = re.compile(r"<data>([^<]*)</data>")
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_MAX_TEXT: Final = 100_000
"""Model text beyond this many characters is not looked at."""
_MAX_SUBTASK: Final = 20_000
"""Longest text of a subtask, in characters."""
_MAX_REFERENCES: Final = 64
"""Most answers put into a subtask: without a bound, a short plan could ask for gigabytes."""


class ParsedPlan(NamedTuple):
    """A plan read from text, or why there is none."""

    subtasks: list[Subtask]
    outcome: ParseOutcome
    problem: str | None
    """Why the plan is unusable; None for a usable one."""


class ParsedAllocation(NamedTuple):
    """Aliases per subtask read from text; subtasks without a known alias are missing."""

    aliases: dict[str, str]
    outcome: ParseOutcome
    problem: str | None


def parse_plan(text: str, *, max_subtasks: int, structured: bool = False) -> ParsedPlan:
    """Read a plan: one line ``1: text`` per subtask, ``#1`` in a text referring to an earlier answer.

    JSON (a list of texts or of objects with ``text`` and ``depends_on``), code fences, bullets, bold numbers, thoughts
    in ``<think>`` tags and prose around the lines are repaired. Numbers that a text refers to become dependencies.

    Args:
        text: What the decomposer wrote.
        max_subtasks: A plan of more is unusable.
        structured: Whether the form asked for was ``{"subtasks": [text, ...]}`` instead of lines.
    """
    if len(text) > _MAX_TEXT:
        return ParsedPlan([], "malformed", f"too_long: {len(text)} characters > {_MAX_TEXT}")
    rows, outcome = _plan_rows(text, structured=structured)
    if not rows:
        return ParsedPlan([], "malformed", "unparsable")
    if len(rows) > max_subtasks:
        return ParsedPlan([], outcome, f"too_many_subtasks: {len(rows)} > {max_subtasks}")
    return linked_plan(rows, outcome)


def linked_plan(rows: list[PlanRow], outcome: ParseOutcome = "clean") -> ParsedPlan:
    """The plan of some rows (id, text, stated dependencies): dependencies found and checked, subtasks in order."""
    if problem := _out_of_bounds(rows):
        return ParsedPlan([], outcome, problem)
    ids = [row[0] for row in rows]
    if len(set(ids)) < len(ids):
        return ParsedPlan([], outcome, "duplicate_ids")
    subtasks = []
    for id_, body, stated in rows:
        found = [m for m in references(body) if m in ids]
        needed = list(dict.fromkeys([*stated, *found]))
        missing = [n for n in [*stated, *numeric_references(body)] if n not in ids]
        if missing:
            return ParsedPlan([], outcome, f"missing_dependency: {missing[0]:.40}")
        subtasks.append(Subtask(id=id_, text=body, depends_on=needed))
    ordered = topological_order(subtasks)
    if ordered is None:
        return ParsedPlan([], outcome, "cycle")
    return ParsedPlan(ordered, outcome, None)


def _out_of_bounds(rows: list[PlanRow]) -> str | None:
    """Why rows cannot be a plan, whatever they say. Ids stand in prompts: only what a reference could name is one."""
    for number, (id_, body, _) in enumerate(rows, 1):
        if references(f"#{id_}") != [id_]:
            return f"bad_id: {id_[:40]!r}"
        if len(body) > _MAX_SUBTASK:
            return f"text_too_long: subtask {number}, {len(body)} characters > {_MAX_SUBTASK}"
        if len(_REFERENCE.findall(body)) > _MAX_REFERENCES:
            return f"too_many_references: subtask {number}"
    return None


def references(text: str) -> list[str]:
    """Ids after a ``#`` in a text, in order, without the reference to the query."""
    return [m for m in _REFERENCE.findall(text) if f"#{m}" != QUERY_REFERENCE]


def numeric_references(text: str) -> list[str]:
    """As :func:`references`, numbers only: ``#tag`` in a user's text is no reference."""
    return [m for m in references(text) if m.isdigit()]


def resolve(text: str, answers: Mapping[str, str], query: str) -> str:
    """Put answers (and the query) where the text refers to them; unknown references stay as they are."""
    known = {**answers, QUERY_REFERENCE[1:]: query}
    return _REFERENCE.sub(lambda m: known.get(m[1], m[0]), text)


def topological_order(subtasks: Sequence[Subtask]) -> list[Subtask] | None:
    """Subtasks so that what one needs comes before it, otherwise in the given order; None if there is a cycle."""
    known = {s["id"] for s in subtasks}
    waiting = {s["id"]: {d for d in s["depends_on"] if d in known} for s in subtasks}
    followers: dict[str, list[str]] = {s["id"]: [] for s in subtasks}
    for id_, needs in waiting.items():
        for need in needs:
            followers[need].append(id_)
    place = {s["id"]: i for i, s in enumerate(subtasks)}
    ready = [place[id_] for id_, needs in waiting.items() if not needs]
    heapq.heapify(ready)
    ordered: list[Subtask] = []
    while ready:
        ordered.append(subtasks[heapq.heappop(ready)])
        for follower in followers[ordered[-1]["id"]]:
            waiting[follower].discard(ordered[-1]["id"])
            if not waiting[follower]:
                heapq.heappush(ready, place[follower])
    return ordered if len(ordered) == len(subtasks) else None


def ancestors(subtasks: Sequence[Subtask], id_: str) -> list[str]:
    """Ids of all subtasks that one needs, directly or not, nearest first."""
    needs = {s["id"]: s["depends_on"] for s in subtasks}
    found: dict[str, None] = {}
    walk = list(needs[id_])
    for near in walk:  # grows while it is walked
        if near not in found:
            found[near] = None
            walk += needs[near]
    return list(found)


def renumbered(subtasks: Sequence[Subtask]) -> list[str]:
    """Texts of a plan as numbered lines show them: references by line number, needs that no reference shows stated."""
    number = {s["id"]: str(i) for i, s in enumerate(subtasks, 1)}
    texts = []
    for subtask in subtasks:
        named = references(subtask["text"])
        hidden = [number[d] for d in subtask["depends_on"] if d not in named and d in number]
        text = _REFERENCE.sub(lambda m: f"#{number[m[1]]}" if m[1] in number else m[0], subtask["text"])
        texts.append(f"{text} (needs {', '.join(hidden)})" if hidden else text)
    return texts


def parse_allocation(
    text: str, *, subtask_ids: Sequence[str], aliases: Sequence[str], structured: bool = False
) -> ParsedAllocation:
    """Read an allocation: one line ``1: alias`` per subtask; JSON, bullets and what else plans have are repaired.

    Args:
        text: What the allocator wrote.
        subtask_ids: The plan's subtasks.
        aliases: The names that it could choose from.
        structured: Whether the form asked for was ``{"1": alias, ...}`` instead of lines.
    """
    rows, outcome = _allocation_rows(text[:_MAX_TEXT], structured=structured)
    by_lower = {alias.lower(): alias for alias in aliases}
    known: dict[str, str] = {}
    unknown: list[str] = []
    for id_, word in rows:
        alias = by_lower.get(word.strip(" `*\"'.").lower())
        if alias is None:
            unknown.append(word)
        elif id_ in subtask_ids:
            known.setdefault(id_, alias)
    if not rows:
        return ParsedAllocation({}, "malformed", "unparsable")
    if unknown:
        return ParsedAllocation(known, "malformed", f"unknown_model: {unknown[0][:80]!r}")
    missing = [id_ for id_ in subtask_ids if id_ not in known]
    if missing:
        return ParsedAllocation(known, "malformed", f"not_allocated: {missing[0]}")
    return ParsedAllocation(known, outcome, None)


def parse_answer(text: str) -> tuple[str, ParseOutcome]:
    """The answer in a reply: what follows the last ``answer:``, up to the end of its paragraph.

    Without such a marker the whole reply is the answer (``repaired``); nothing at all is ``malformed``.
    """
    pieces = _ANSWER.split(text[-_MAX_TEXT:])
    if len(pieces) > 1:
        answer = pieces[-1].strip().split("\n\n")[0].strip().strip("*").strip()
        if tagged := _TAGGED.fullmatch(answer):  # it was shown answers so
            answer = tagged[1].strip()
        return (answer, "clean") if answer else ("", "malformed")
    whole = text.strip()
    return (whole, "repaired") if whole else ("", "malformed")


def joined(answers: Iterable[str]) -> str | None:
    """The answers of subtasks, a line each, as one; None where there is none."""
    return "\n".join(answer for answer in answers if answer) or None


def _plan_rows(text: str, *, structured: bool) -> tuple[list[PlanRow], ParseOutcome]:
    value = whole_json(text) if structured else None
    if isinstance(value, dict) and list(value) == ["subtasks"]:
        return [_row(*row) for row in plan_rows(value)], "clean"
    lines = _lines(text)
    matches = [_CLEAN_LINE.fullmatch(line) for line in lines]
    if lines and all(matches):
        return [_row(m[1], m[2]) for m in matches if m], "repaired" if structured else "clean"
    said = _THINKING.sub("", text)
    # Numbered lines come first: JSON may stand inside a subtask's text.
    rows = [_row(m[1], m[2]) for m in map(_LOOSE_LINE.fullmatch, _lines(said)) if m]
    if not rows or said.lstrip("`jsonJSON \n").startswith(("[", "{")):
        rows = [_row(*row) for row in plan_rows(find_json(said))] or rows
    return rows, "repaired" if rows else "malformed"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _row(id_: str, body: str, stated: Sequence[str] = ()) -> PlanRow:
    """A row whose text no longer ends with what it needs."""
    needs = list(stated)
    while (start := max(body.rfind("("), body.rfind("["))) > 0 and (found := _NEEDS.fullmatch(body, start)):
        needs += [w for w in re.findall(r"[\w.]+", found[1]) if w.lower() != "and"]
        body = body[:start].rstrip()
    return id_, body, needs


def _allocation_rows(text: str, *, structured: bool) -> tuple[list[tuple[str, str]], ParseOutcome]:
    value = whole_json(text) if structured else None
    if isinstance(value, dict) and all(isinstance(model, str) for model in value.values()):
        return allocation_rows(value), "clean"
    lines = _lines(text)
    matches = [_CLEAN_LINE.fullmatch(line) for line in lines]
    if lines and all(matches):
        return [(m[1], m[2]) for m in matches if m], "repaired" if structured else "clean"
    said = _THINKING.sub("", text)
    rows = allocation_rows(find_json(said)) or [(m[1], m[2]) for m in map(_LOOSE_LINE.fullmatch, _lines(said)) if m]
    return rows, "repaired" if rows else "malformed"
