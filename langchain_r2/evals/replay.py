"""What another allocator would have given on recorded runs, without a model call: where the records cover its choices.

A run is gone over with its own plan. For every subtask that the allocator gives to a model there has to be a record of
just that question starting on that model; what happened then, steps up and sub-plans included, happens again. A run
with a choice that no record covers is counted and left out: nothing is filled in. Covered runs are no random sample, so
the estimate is for *them*, beside what they really cost; bounds say what it could be for all.

Left out of account: evidence of one subtask that sends another to a cheaper model (``record``) is as it was logged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import Grader, graded
from langchain_r2.evals.items import Item
from langchain_r2.evals.metrics import Estimate, cost_ratio, mean_score, paired_difference
from langchain_r2.evals.recorded import JudgedRun, Key, key_of, keys_of
from langchain_r2.ledger import add_costs, bill
from langchain_r2.parsing import resolve
from langchain_r2.routers.base import Allocator
from langchain_r2.types import Attempt, Plan, RunRecord


class Course(NamedTuple):
    """What happened to a subtask from its start on some model."""

    answer: str
    cost_usd: float | None
    """Of all its tries, with the routing of its sub-plans."""


class Uncovered(NamedTuple):
    """A choice that no record has."""

    subtask_id: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One run, as it was and as it would have been."""

    id: str
    logged_right: bool
    logged_usd: float | None
    subtasks: int
    same: int
    """Subtasks given to the model that had them in the record."""
    uncovered: Uncovered | None = None
    """The first choice that is not covered; what depends on its answer is not known either."""
    right: bool | None = None
    """None: not covered, or another answer of which nobody knows."""
    cost_usd: float | None = None
    """Router and all; None: not covered, or a price is unknown."""


class Courses:
    """The recorded courses, by question and by the model that they started on."""

    def __init__(self, records: Iterable[RunRecord]) -> None:
        """Index the records; of equal ones the first counts."""
        self._known: dict[Key, dict[str, Course]] = {}
        later: list[tuple[Key, str, Course]] = []
        for record in records:
            if record["status"] == "budget_exhausted" or "allocation" not in record:
                continue
            keys = keys_of(record)
            for result in record.get("results", []):
                rows = _rows_of(record["attempts"], result["id"])
                if not rows:  # taken over from an earlier run, or never begun
                    continue
                key, start = keys[result["id"]], record["allocation"]["models"][result["id"]]
                self._known.setdefault(key, {}).setdefault(start, Course(result["answer"], _usd(rows)))
                # Tries know nothing of those before them: from any on, it is the course that starts there.
                if result["verdict"]["accepted"] and not result["parts"]:
                    later += ((key, m, Course(result["answer"], _usd(rest))) for m, rest in _later(rows))
        for key, model, course in later:
            self._known.setdefault(key, {}).setdefault(model, course)

    def get(self, key: Key, model: str) -> Course | None:
        """What happened to a question from a model on; None: there is no record of it."""
        return self._known.get(key, {}).get(model)


def _rows_of(attempts: Sequence[Attempt], id_: str) -> list[Attempt]:
    return [a for a in attempts if a["subtask_id"] == id_ or (a["subtask_id"] or "").startswith(id_ + ".")]


def _later(rows: Sequence[Attempt]) -> list[tuple[str, list[Attempt]]]:
    """The second try and those after it, each with all rows from it on."""
    begins = [i for i, row in enumerate(rows) if row["role"] == "executor" and row["direction"] == "upward"]
    return [(rows[i]["model"], list(rows[i:])) for i in begins if rows[i]["model"] != rows[i - 1]["model"]]


def _usd(rows: Iterable[Attempt]) -> float | None:
    return bill(rows).cost_usd


@dataclass(kw_only=True)
class Replay:
    """Runs gone over with an allocator."""

    allocator: Allocator
    courses: Courses
    grader: Grader | None = None
    """Grades answers that no record of the query has; None: nobody knows of them."""
    answers: dict[str, Item] = field(default_factory=dict)
    """Right answers for the grader, by query."""
    _verdicts: dict[tuple[str, str], bool] = field(default_factory=dict)

    async def all(self, runs: Sequence[JudgedRun]) -> list[Replayed]:
        """Go over runs.

        Raises:
            BadValueError: There is none.
        """
        if not runs:
            raise BadValueError("runs to replay", 0, "at least one that is known to be right or wrong")
        for run in runs:
            self._verdicts.setdefault((run.record["query"], run.record["answer"] or ""), run.right)
        return [await self._one(run) for run in runs]

    async def _one(self, run: JudgedRun) -> Replayed:
        record = run.record
        subtasks = record["plan"]
        plan = Plan(subtasks=subtasks, parse="clean", confidence=record.get("plan_confidence"), rejected=[])
        made = await self.allocator.ainvoke({"query": record["query"], "plan": plan})
        models, before = made["allocation"]["models"], record.get("allocation")
        logged = before["models"] if before else {}
        told = Replayed(
            id=record["id"],
            logged_right=run.right,
            logged_usd=record["cost_usd"],
            subtasks=len(subtasks),
            same=sum(models[s["id"]] == logged.get(s["id"]) for s in subtasks),
        )
        answers: dict[str, str] = {}
        cost_usd = add_costs(_routing_usd(record), _usd(made["attempts"]))
        for subtask in subtasks:
            id_ = subtask["id"]
            if any(not answers[d] for d in subtask["depends_on"]):
                answers[id_] = ""  # as in a run: what it needs has no answer
                continue
            text = resolve(subtask["text"], {d: answers[d] for d in subtask["depends_on"]}, record["query"])
            course = self.courses.get(key_of(record["query"], subtask, text, answers), models[id_])
            if course is None:
                return _with(told, uncovered=Uncovered(id_, models[id_]))
            answers[id_] = course.answer
            cost_usd = add_costs(cost_usd, course.cost_usd)
        return _with(told, cost_usd=cost_usd, right=await self._right(run, answers))

    async def _right(self, run: JudgedRun, answers: dict[str, str]) -> bool | None:
        """Whether the answer would have been right; None: nobody knows."""
        record = run.record
        results = {result["id"]: result["answer"] for result in record.get("results", [])}
        if answers == results:
            return run.right
        last = record["plan"][-1]["id"]
        if record["answer"] != results.get(last) or any(a["role"] == "aggregator" for a in record["attempts"]):
            return None  # the answer is made of all answers
        query, answer = record["query"], answers[last]
        if (query, answer) not in self._verdicts:
            item = self.answers.get(query)
            score = (await graded(self.grader, answer, item)).score if self.grader and item else None
            if score is None:
                return None
            self._verdicts[query, answer] = score >= 1
        return self._verdicts[query, answer]


def _routing_usd(record: RunRecord) -> float | None:
    """What the record's run paid outside of its subtasks, its own allocator's calls left out."""
    return _usd(a for a in record["attempts"] if a["subtask_id"] is None and a["role"] != "allocator")


def _with(told: Replayed, **known: object) -> Replayed:
    return Replayed(**{**vars(told), **known})


@dataclass(frozen=True, kw_only=True)
class Summary:
    """An estimate, and what it is an estimate of."""

    runs: int
    covered: int
    """Runs of which cost and correctness under the new allocator are known."""
    unknown_answer: int
    """Covered in every choice, but nobody knows whether the other answer is right."""
    subtasks: int
    same: int
    logged_accuracy: Estimate
    """Of all runs."""
    logged_usd: float | None
    """A run, of all runs."""
    accuracy: Estimate | None = None
    """Of the covered runs, as what follows; None where there is none."""
    accuracy_gain: Estimate | None = None
    """Against the same runs as they were logged."""
    usd: float | None = None
    cost_ratio: Estimate | None = None
    """Against the same runs as they were logged."""
    least_accuracy: float = 0.0
    """Of all runs, if all that is unknown were wrong."""
    most_accuracy: float = 1.0
    """If it were right."""


def summarized(replayed: Sequence[Replayed]) -> Summary:
    """Sum runs up, with bootstrap intervals over runs."""
    known = [r for r in replayed if r.right is not None and r.cost_usd is not None and r.logged_usd is not None]
    sure = [r.right for r in replayed if r.right is not None]
    costs = [r.logged_usd for r in replayed]
    paid = [c for c in costs if c is not None]
    new = [float(bool(r.right)) for r in known]
    old = [float(r.logged_right) for r in known]
    new_usd, old_usd = [r.cost_usd or 0.0 for r in known], [r.logged_usd or 0.0 for r in known]
    return Summary(
        runs=len(replayed),
        covered=len(known),
        unknown_answer=sum(r.uncovered is None and r.right is None for r in replayed),
        subtasks=sum(r.subtasks for r in replayed),
        same=sum(r.same for r in replayed),
        logged_accuracy=mean_score([float(r.logged_right) for r in replayed]),
        logged_usd=sum(paid) / len(paid) if len(paid) == len(costs) else None,
        accuracy=mean_score(new) if known else None,
        accuracy_gain=paired_difference(new, old) if known else None,
        usd=sum(new_usd) / len(known) if known else None,
        cost_ratio=cost_ratio(new_usd, old_usd) if sum(old_usd) > 0 else None,
        least_accuracy=sum(map(bool, sure)) / len(replayed),
        most_accuracy=(len(replayed) - sum(not right for right in sure)) / len(replayed),
    )
