"""Draws plans of a query, runs them, and ranks them: right ones first, then by ``J`` (METHOD 2.2, 2.4).

Three kinds: what the decomposer writes; the plan that does not decompose; and finer plans, in which a subtask of a
right plan is replaced by what the decomposer makes of *it*. All are run with one evaluation model for all subtasks, and
what a run finds is kept: which plan is right is observed, never assumed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import QUERY_REFERENCE, parse_plan, renumbered
from langchain_r2.prompts import plan_lines, prompts_for, schemas
from langchain_r2.transport import Call, Reply
from langchain_r2.types import Subtask
from training.coherence import Coherence, mean_coherence
from training.executions import Stored
from training.finer import finer_texts
from training.items import TrainItem
from training.plan_requests import PlanRequest, PlanRun, asked_as_json
from training.plan_runs import PlanRunner
from training.settings import SamplingSettings

Source = Literal["sample", "trivial", "finer"]

_RANKS: Final[dict[str, int]] = {"right": 0, "ungradable": 1, "wrong": 1, "failed": 2, "unusable": 3}


class Drawn(NamedTuple):
    """A plan before it was run."""

    source: Source
    reply: Stored
    times: int = 1
    """How often it was drawn."""


class Replan(NamedTuple):
    """What the decomposer made of one subtask."""

    text: str
    """The subtask, with its references filled in."""
    parts: list[str]
    whole: bool
    """Whether it left it as it is."""


class Terms(NamedTuple):
    """The raw terms of ``J``."""

    subtasks: int
    """Conciseness."""
    tokens: int
    """Practicality: what the evaluation model spends."""
    coherence: float


class Sampler:
    """Draws and scores plans of one query after another."""

    def __init__(
        self, runner: PlanRunner, settings: SamplingSettings, evaluator: ModelSpec, coherence: Coherence
    ) -> None:
        """Take the runner, whose decomposer draws, and the evaluation model."""
        self.runner, self.settings = runner, settings
        self.evaluator, self.coherence = evaluator, coherence

    async def sample(self, item: TrainItem) -> dict[str, Any]:
        """All plans of a problem, best first, as JSON data."""
        drawn = await self._drawn(item)
        runs = await self._run(item, drawn)
        replans: list[Replan] = []
        if self.settings.finer:
            finer, replans = await self._finer(drawn, runs)
            refined = await self._run(item, finer)
            verified = any(run.status == "right" for run in refined)
            # One subtask stays as it is: nothing has to be verified. Parts: a plan that has them was right.
            replans = [replan for replan in replans if verified or replan.whole]
            runs, drawn = runs + refined, drawn + finer
        rows = [await self._row(plan, run) for plan, run in zip(drawn, runs, strict=True)]
        return {
            "query": item.query,
            "answer": item.answer,
            "split": item.split,
            "plans": ranked(rows, self.settings),
            "replans": [replan._asdict() for replan in replans],
        }

    async def _drawn(self, item: TrainItem) -> list[Drawn]:
        replies = await asyncio.gather(*(self.ask(item.query, number) for number in range(self.settings.samples)))
        written = [reply for reply in replies if reply is not None]
        drawn = unique([Drawn("sample", reply) for reply in written], self.runner.max_subtasks)
        if self.settings.trivial:
            trivial = Drawn("trivial", as_written([QUERY_REFERENCE], written))
            drawn = unique([*drawn, trivial], self.runner.max_subtasks)
        return drawn

    async def ask(self, text: str, number: int) -> Stored | None:
        """One reply of the decomposer, the first greedy; None where the call failed."""
        spec = self.runner.decomposer
        structured = asked_as_json(spec)
        prompt = prompts_for(spec.prompt_style).decompose(
            text, max_subtasks=self.runner.max_subtasks, structured=structured
        )
        call = Call(
            spec=spec,
            prompt=prompt,
            role="decomposer",
            budget=Budget(),
            temperature=self.settings.temperature if number else 0.0,
            seed=self.settings.seed + number if number else None,
            schema=schemas.PLAN if structured else None,
            ordinal=number,
        )
        outcome = await arun(self.runner.transport.call(call))
        return None if outcome.reply is None else _kept(outcome.reply, outcome.attempts[-1])

    async def _run(self, item: TrainItem, drawn: Sequence[Drawn]) -> list[PlanRun]:
        requests = []
        for plan in drawn:
            subtasks = parse_plan(plan.reply.text, max_subtasks=self.runner.max_subtasks).subtasks
            models = {s["id"]: self.evaluator.name for s in subtasks}
            requests.append(PlanRequest(item=item, plan=plan.reply, allocation=models))
        return await self.runner.arun_all(requests)

    async def _finer(self, drawn: Sequence[Drawn], runs: Sequence[PlanRun]) -> tuple[list[Drawn], list["Replan"]]:
        """Finer versions of the first right plan that decomposes, and what the decomposer said of its subtasks."""
        right = [run for run in runs if run.status == "right" and not _whole(run.plan)]
        if not right:
            return [], []
        base = right[0]
        asked = [result["text"] for result in base.results]
        replies = await asyncio.gather(*(self.ask(text, 0) for text in asked))
        parts: dict[str, list[Subtask]] = {}
        replans: list[Replan] = []
        for result, reply in zip(base.results, replies, strict=True):
            parsed = parse_plan(reply.text, max_subtasks=self.runner.max_subtasks) if reply else None
            if parsed and not parsed.problem:
                replans.append(Replan(result["text"], renumbered(parsed.subtasks), whole=len(parsed.subtasks) == 1))
                if len(parsed.subtasks) > 1:
                    parts[result["id"]] = parsed.subtasks
        answers = {result["id"]: result["answer"] for result in base.results}
        texts = finer_texts(base.plan, parts, answers, most=self.settings.finer)
        written = [plan.reply for plan in drawn if plan.source == "sample"]
        made = unique([*drawn, *(Drawn("finer", as_written(t, written)) for t in texts)], self.runner.max_subtasks)
        return [plan for plan in made if plan.source == "finer"], replans

    async def _row(self, plan: Drawn, run: PlanRun) -> dict[str, Any]:
        coherence = await mean_coherence(run.plan, self.coherence) if run.plan else 0.0
        executed = [a for a in run.attempts if a["role"] == "executor"]
        tokens = sum(a["input_tokens"] + a["output_tokens"] for a in executed)
        return {
            "source": plan.source,
            "times": plan.times,
            "reply": {k: v for k, v in plan.reply._asdict().items() if k in _USAGE},
            "subtasks": run.plan,
            "parse": run.parse,
            "status": run.status,
            "error": run.error,
            "terms": Terms(len(run.plan), tokens, coherence)._asdict(),
            "router_usd": run.router_usd,
            "evaluator_usd": None if run.cost_usd is None else run.cost_usd - (run.router_usd or 0.0),
            "confidences": {a["subtask_id"]: a["confidence"] for a in executed},
        }


_USAGE: Final = frozenset({"text", "input_tokens", "output_tokens", "cached_input_tokens"})


def reply_of(row: Mapping[str, Any]) -> Stored:
    """A decomposer's reply from a row of a plan."""
    return Stored(**row["reply"])


def unique(drawn: Sequence[Drawn], max_subtasks: int) -> list[Drawn]:
    """Equal plans once, under the first source that had them."""
    found: dict[Any, Drawn] = {}
    for plan in drawn:
        parsed = parse_plan(plan.reply.text, max_subtasks=max_subtasks)
        key = tuple(renumbered(parsed.subtasks)) or plan.reply.text
        known = found.get(key)
        found[key] = plan if known is None else known._replace(times=known.times + plan.times)
    return list(found.values())


def as_written(texts: Sequence[str], like: Sequence[Stored]) -> Stored:
    """A plan that no decomposer wrote, with the usage that it would have: tokens by the length of one that was."""
    text = plan_lines(texts)
    if not like:
        return Stored(text)
    tokens = max(1, round(like[0].output_tokens * len(text) / max(1, len(like[0].text))))
    return Stored(text, like[0].input_tokens, tokens, like[0].cached_input_tokens)


def ranked(rows: Sequence[dict[str, Any]], settings: SamplingSettings) -> list[dict[str, Any]]:
    """Rows with ``J`` over their group, best first: right ones, then by ``J``."""
    scores = j_scores([Terms(**row["terms"]) for row in rows], settings)
    scored = [{**row, "J": score} for row, score in zip(rows, scores, strict=True)]
    return sorted(scored, key=lambda row: (_RANKS[row["status"]], row["J"]))


def j_scores(terms: Sequence[Terms], settings: SamplingSettings) -> list[float]:
    """``J(d) = w_c n/n_max + w_p tok/tok_max + w_d (1 - coherence)``, the maxima over the group; lower is better."""
    most = max((t.subtasks for t in terms), default=0) or 1
    longest = max((t.tokens for t in terms), default=0) or 1
    return [
        settings.weight_conciseness * t.subtasks / most
        + settings.weight_practicality * t.tokens / longest
        + settings.weight_coherence * (1 - t.coherence)
        for t in terms
    ]


def _whole(subtasks: Sequence[Subtask]) -> bool:
    return len(subtasks) == 1 and QUERY_REFERENCE in subtasks[0]["text"]


def _kept(reply: Reply, row: Mapping[str, Any]) -> Stored:
    return Stored(reply.text, row["input_tokens"], row["output_tokens"], row["cached_input_tokens"])
