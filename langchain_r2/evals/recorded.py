"""Recorded runs as evidence: which may be used, which were right, and how models did on their subtasks.

Only records that say ``for_training`` are taken. Whether a run was right is never read from its confidence: somebody
said so (feedback), a grader did (records of an evaluation), or its answer is compared with the right one.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import Grader, graded
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Source, read_rows
from langchain_r2.parsing import ancestors, references
from langchain_r2.run_record import iter_records
from langchain_r2.types import Attempt, RunRecord, Subtask, SubtaskResult

VerdictBy = Literal["feedback", "grade", "answers"]
"""Who said whether a run was right: a person, the grader of an evaluation, a grader here with the right answer."""


class Key(NamedTuple):
    """What a model was shown of a subtask: equal keys are the same question."""

    query: str
    within: str
    """Of a part of a replanned subtask: that subtask's text; else empty."""
    text: str
    """With the answers that it refers to put in."""
    shown: tuple[tuple[str, str], ...]
    """Further answers that stood beside it, by subtask id."""


class Try(NamedTuple):
    """One try of a subtask that was judged when it was recorded."""

    key: Key
    subtask_id: str
    row: Attempt
    accepted: bool


class JudgedRun(NamedTuple):
    """A run of which it is known whether its answer was right."""

    record: RunRecord
    right: bool
    by: VerdictBy


class Judged(NamedTuple):
    """The runs that may be used, and why others are left out."""

    runs: list[JudgedRun]
    left_out: Counter[str]


def read_consented(paths: Iterable[Path]) -> tuple[list[RunRecord], int]:
    """The records that may be used, and how many were refused.

    Raises:
        BadValueError: A file cannot be read, or none of the records may be used.
    """
    records = [record for path in paths for record in iter_records(path)]
    kept = [record for record in records if record.get("for_training") is True]
    if not kept:
        hint = "Records are used only where it was said so when they were made: `batch --for-training`."
        raise BadValueError("run records", f"{len(records)}, none with for_training", "at least one with it", hint)
    return kept, len(records) - len(kept)


def read_feedback(path: Path) -> dict[str, bool]:
    """What people said, by the id of the record: lines ``{"id": "...", "right": true}``; the last word counts.

    Raises:
        BadValueError: The file cannot be read, or a line is something else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise BadValueError("file of feedback", str(path), "a UTF-8 file that can be read", str(error)) from error
    said: dict[str, bool] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row: Any = json.loads(line)
                id_, right = row["id"], row["right"]
            except (ValueError, TypeError, KeyError):
                id_ = right = None
            if not isinstance(id_, str) or not isinstance(right, bool):
                raise BadValueError(f"line {number} of {path}", line[:80], 'an object {"id": "...", "right": true}')
            said[id_] = right
    return said


def read_answers(path: str) -> dict[str, Item]:
    """Right answers by query: lines ``{"query": "...", "answer": "..."}``.

    Raises:
        BadValueError: The file cannot be read, or a line lacks one of them.
    """
    rows = read_rows(Source("answers", 1, 0, path))
    return {row.text("query"): Item(str(row.number), row.text("query"), row.any_text("answer")) for row in rows}


async def judged(
    records: Sequence[RunRecord],
    *,
    feedback: Mapping[str, bool] | None = None,
    answers: Mapping[str, Item] | None = None,
    grader: Grader | None = None,
) -> Judged:
    """Find out which runs were right. What a person said counts before a record's grade, that before the grader.

    Raises:
        BadValueError: Feedback names a run by an id that several records have.
    """
    ids = Counter(record["id"] for record in records)
    if twice := [id_ for id_ in feedback or {} if ids[id_] > 1]:
        raise BadValueError("id in the feedback", twice[0], "the id of one record", "Several have it: use fewer files.")
    runs: list[JudgedRun] = []
    left_out: Counter[str] = Counter()
    for record in records:
        why = _unusable(record)
        said = None if why else await _verdict(record, feedback or {}, answers or {}, grader)
        if said is None:
            left_out[why or "nobody says whether it was right"] += 1
        else:
            runs.append(JudgedRun(record, *said))
    return Judged(runs, left_out)


async def _verdict(
    record: RunRecord, feedback: Mapping[str, bool], answers: Mapping[str, Item], grader: Grader | None
) -> tuple[bool, VerdictBy] | None:
    if (said := feedback.get(record["id"])) is not None:
        return said, "feedback"
    grade = cast("Mapping[str, Any]", record).get("grade")
    if grade is not None and grade["score"] is not None:
        return grade["score"] >= 1, "grade"
    item = answers.get(record["query"])
    if item is None or grader is None:
        return None
    score = (await graded(grader, record["answer"] or "", item)).score
    return None if score is None else (score >= 1, "answers")


def _unusable(record: RunRecord) -> str | None:
    """Why a record says nothing about a plan; None: it does."""
    if not (record["plan"] and record.get("results") and record.get("allocation")):
        return "no plan was executed"
    if record["answer"] is None or record["status"] in {"error", "rejected", "budget_exhausted"}:
        return f"it ended without an answer of its own ({record['status']})"
    if any("message" in row for row in record["attempts"]):
        return "it answers a conversation"
    return None


def keys_of(record: RunRecord) -> dict[str, Key]:
    """What was asked in each subtask, parts of replanned ones among them, by subtask id."""
    found: dict[str, Key] = {}

    def walk(subtasks: Sequence[Subtask], results: Sequence[SubtaskResult], within: str, prefix: str) -> None:
        answers = {result["id"].removeprefix(prefix): result["answer"] for result in results}
        plan = {subtask["id"]: subtask for subtask in subtasks}
        for result in results:
            subtask = plan[result["id"].removeprefix(prefix)]
            found[result["id"]] = key_of(record["query"], subtask, result["text"], answers, within)
            if result["parts"]:
                walk(result["parts"], result.get("part_results", []), result["text"], result["id"] + ".")

    walk(record["plan"], record.get("results", []), "", "")
    return found


def key_of(query: str, subtask: Subtask, text: str, answers: Mapping[str, str], within: str = "") -> Key:
    """The key of a subtask whose references are filled in."""
    named = set(references(subtask["text"]))
    shown = tuple((d, answers.get(d, "")) for d in sorted(subtask["depends_on"]) if d not in named)
    return Key(query, within, text, shown)


def tries_of(record: RunRecord) -> Iterator[Try]:
    """The tries of a run whose model really answered: failed calls say nothing of a model's skill."""
    keys = keys_of(record)
    for row in record["attempts"]:
        id_, verdict = row["subtask_id"], row.get("verdict")
        if row["role"] == "executor" and id_ in keys and verdict is not None and row["error_type"] is None:
            yield Try(keys[id_], id_, row, verdict["accepted"])


def needed_for_answer(record: RunRecord) -> set[str]:
    """Ids of the subtasks whose answers the run's answer rests on: of others a right answer says nothing."""
    results = record.get("results", [])
    last = record["plan"][-1]["id"]
    if not results or record["answer"] != results[-1]["answer"]:  # joined, or written from all
        return {subtask["id"] for subtask in record["plan"]}
    return {last, *ancestors(record["plan"], last)}
