"""The grouped search for labels: per plan, the cheapest allocation that was verified right (METHOD 3.3).

From a right run (that of the evaluation model, or one found by stepping upward) the search goes on with *executions*
instead of whole runs: a subtask is given to the middle model of its difficulty's group. The verified answer again?
Then everything that depends on it stays as it was, and the next cheaper model is tried; another answer, and the next
stronger one is, until the verified answer comes again. Where answers never agree word by word, ``changed="rerun"`` runs
the plan again with the changed answer. At the end the whole allocation is run and verified, r of s times.

Deviations from the paper's search: a step is kept on an equal answer without running what depends on it (it would run
the same); among the models that did a subtask the one whose execution cost least is taken, not the lowest in rank: a
smaller model may write more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_r2.evals.executing import Execution
from langchain_r2.evals.grading import graded
from langchain_r2.pool import ModelPool
from langchain_r2.types import Group, Subtask
from training.executions import Stored
from training.items import TrainItem
from training.plan_requests import PlanRequest, PlanRun
from training.plan_runs import PlanRunner
from training.probes import execute
from training.settings import SearchSettings


@dataclass(kw_only=True)
class Label:
    """What the search found for one plan."""

    status: Literal["labelled", "discarded", "failed"]
    """``discarded``: never right. ``failed``: calls failed, which says nothing."""
    models: dict[str, str] = field(default_factory=dict)
    """The cheapest allocation verified right."""
    cost_usd: float | None = None
    """Of its executions."""
    reference_usd: float | None = None
    """Of the executions of the run that the search started from."""
    right: int = 0
    """Of ``repeats`` verifying runs."""
    repeats: int = 0
    plan_runs: int = 0
    """Runs of the whole plan, the one it started from among them."""
    executions: int = 0
    """Executions of one subtask beside those of runs."""


class _Discarded(Exception):  # noqa: N818 - the end of a search, no error
    def __init__(self, status: Literal["discarded", "failed"]) -> None:
        self.status: Literal["discarded", "failed"] = status


@dataclass(kw_only=True)
class Search:
    """The search for one plan."""

    runner: PlanRunner
    settings: SearchSettings
    item: TrainItem
    plan: Stored
    subtasks: Sequence[Subtask]
    reference: Mapping[str, str]
    """The allocation that sampling ran: the evaluation model for all."""
    confidences: Mapping[str, float | None]
    """Of the evaluation model, by subtask id."""
    known_right: bool
    """Whether that run was right."""
    label: Label = field(default_factory=lambda: Label(status="discarded"))

    async def run(self) -> Label:
        """Search."""
        try:
            base = await self._run(self.reference) if self.known_right else await self._upward()
            self.label.reference_usd = _executed_usd(base)
            models = dict(base.allocation)
            answers = {r["id"]: r["answer"] for r in base.results}
            tried: dict[str, str] = dict(models)
            for id_ in self._order(base):
                tried[id_] = await self._cheapest(id_, models[id_], tried, answers)
            await self._verify(tried, models)
        except _Discarded as ended:
            self.label.status = ended.status
        else:
            self.label.status = "labelled"
        return self.label

    async def _run(self, models: Mapping[str, str], repetition: int = 0) -> PlanRun:
        if self.label.plan_runs >= self.settings.max_plan_runs:
            raise _Discarded("discarded")
        self.label.plan_runs += 1
        request = PlanRequest(item=self.item, plan=self.plan, allocation=models, repetition=repetition)
        ended = await self.runner.run(request)
        if ended.status == "failed":
            raise _Discarded("failed")
        return ended

    async def _upward(self) -> PlanRun:
        """Step the least confident subtask up, inside its group and then to the next, until the plan is right."""
        models = {s["id"]: self._start(s["id"]) for s in self.subtasks}
        while (ended := await self._run(models)).status != "right":
            sure = {a["subtask_id"]: a["confidence"] for a in ended.attempts if a["role"] == "executor"}
            below = [id_ for id_ in models if self.runner.pool.up(models[id_]) is not None]
            if not below:
                raise _Discarded("discarded")
            weakest = min(below, key=lambda id_: _or(sure.get(id_), 0.5))
            models[weakest] = self.runner.pool.up(models[weakest]) or models[weakest]
        return ended

    def _start(self, id_: str) -> str:
        return self.runner.pool.middle(difficulty(self.confidences.get(id_), self.settings)).name

    def _order(self, base: PlanRun) -> list[str]:
        """Subtasks by what can be saved on them times how sure their answers are, most first."""
        rows = {a["subtask_id"]: a for a in base.attempts if a["role"] == "executor"}

        def worth(subtask: Subtask) -> float:
            row = rows.get(subtask["id"])
            return _or(row["cost_usd"], 0.0) * _or(row["confidence"], 0.5) if row else 0.0

        return [s["id"] for s in sorted(self.subtasks, key=worth, reverse=True)]

    async def _cheapest(self, id_: str, known: str, models: dict[str, str], answers: dict[str, str]) -> str:
        """The model with the cheapest execution that does a subtask; ``known`` is one that does."""
        did: dict[str, Execution] = {}
        start = self._start(id_)
        start = start if self.runner.pool.rank(start) <= self.runner.pool.rank(known) else known
        step: str | None = start
        while step is not None and not (found := await self._does(id_, step, models, answers, did)):
            step = self.runner.pool.up(step)  # upward, at most to the model that is known to do it
        step, missed = self.runner.pool.down(start) if step == start else None, 0
        while step is not None and missed <= self.settings.patience:
            found = await self._does(id_, step, models, answers, did)
            missed = 0 if found else missed + 1
            step = self.runner.pool.down(step)
        return min(did.values(), key=lambda e: _or(e.cost_usd, float("inf"))).model if did else known

    async def _does(
        self, id_: str, model: str, models: dict[str, str], answers: dict[str, str], did: dict[str, Execution]
    ) -> bool:
        """Whether a model does a subtask; if so it is put into ``did``."""
        subtask = next(s for s in self.subtasks if s["id"] == id_)
        self.label.executions += 1
        made = await execute(self.runner, self.item.query, subtask, answers, model)
        if made.failed:
            raise _Discarded("failed")
        if not made.answer:
            return False
        right = made.answer.strip() == answers[id_].strip()
        if not right and self.settings.changed == "rerun" and self.label.plan_runs < self.settings.max_plan_runs - 1:
            ended = await self._run({**models, id_: model})
            right = ended.status == "right"
            if right:  # what depends on it was verified with the changed answer
                answers |= {r["id"]: r["answer"] for r in ended.results}
        if right:
            did[model] = made
        return right

    async def _verify(self, models: dict[str, str], known: Mapping[str, str]) -> None:
        """Run the allocation as often as asked; where it is too seldom right, the known right one is the label."""
        for candidate in [models] if models == known else [models, dict(known)]:
            runs = [await self._run(candidate, number) for number in range(self.settings.repeats)]
            right = [run for run in runs if run.status == "right"]
            if len(right) >= self.settings.right_repeats:
                self.label.models, self.label.cost_usd = dict(candidate), _executed_usd(right[0])
                self.label.right, self.label.repeats = len(right), len(runs)
                return
        raise _Discarded("discarded")


def difficulty(confidence: float | None, settings: SearchSettings) -> Group:
    """The group that a subtask's search starts in; medium where there is no signal."""
    if confidence is None:
        return "MLM"
    return "SLM" if confidence >= settings.tau_easy else "MLM" if confidence >= settings.tau_medium else "LLM"


async def optimum(
    runner: PlanRunner,
    item: TrainItem,
    subtasks: Sequence[Subtask],
    known: tuple[dict[str, str], float],
    *,
    most_branches: int = 2_000,
) -> tuple[dict[str, str], float] | None:
    """The cheapest right allocation of a plan by trying all, for pools whose models do not sample.

    Exact and far below ``9^n`` executions: of the models that give the same answer only the cheapest can be part of
    the optimum, since all that depends on the answer is the same; and what costs more than a known one cannot be it.

    Args:
        runner: Has the pool and the grader.
        item: The problem.
        subtasks: The plan.
        known: A right allocation and its executions' cost.
        most_branches: Steps of the enumeration after which it is given up.

    Returns:
        Allocation and its executions' cost; None where a cost is unknown, or there are too many branches.
    """
    best = known
    branches = 0
    waiting: list[tuple[int, dict[str, str], dict[str, str], float]] = [(0, {}, {}, 0.0)]
    while waiting:
        place, answers, models, cost = waiting.pop()
        branches += 1
        if branches > most_branches:
            return None
        if cost >= best[1]:
            continue
        if place == len(subtasks):
            grade = await graded(runner.grader, answers[subtasks[-1]["id"]], item.as_item())
            if grade.score is not None and grade.score >= 1:
                best = models, cost
            continue
        subtask = subtasks[place]
        made = await asyncio.gather(*(execute(runner, item.query, subtask, answers, m.name) for m in runner.pool))
        cheapest: dict[str, Execution] = {}
        for execution in made:
            if execution.cost_usd is None:
                return None
            other = cheapest.get(execution.answer)
            if execution.answer and (other is None or execution.cost_usd < _or(other.cost_usd, 0.0)):
                cheapest[execution.answer] = execution
        # The cheapest last: it is looked at first, and what it finds cuts the others off.
        for option in sorted(cheapest.values(), key=lambda e: -_or(e.cost_usd, 0.0)):
            after = {**answers, subtask["id"]: option.answer}
            waiting.append(
                (place + 1, after, {**models, subtask["id"]: option.model}, cost + _or(option.cost_usd, 0.0))
            )
    return best


def _executed_usd(run: PlanRun) -> float | None:
    return None if run.cost_usd is None else run.cost_usd - _or(run.router_usd, 0.0)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def ranks_of(models: Mapping[str, str], pool: ModelPool) -> dict[str, int]:
    """Ranks of an allocation's models, 1 for the weakest."""
    return {id_: pool.rank(name) + 1 for id_, name in models.items()}


def label_data(label: Label, pool: ModelPool) -> dict[str, Any]:
    """A label as JSON data."""
    return {**vars(label), "ranks": ranks_of(label.models, pool)}
