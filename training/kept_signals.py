"""Subtasks with a verified label, and how sure the evaluation model was of each, read from what was kept."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.evals.items import Item
from langchain_r2.ledger import Budget
from langchain_r2.pool import ModelPool
from langchain_r2.transport import Call, Outcome
from langchain_r2.types import Group
from training.executions import CachedTransport, ExecutionCache
from training.plan_runs import PlanRunner
from training.probes import execute
from training.settings import PoolSettings, read_settings
from training.sources import open_pool, pool_hash

Row = Mapping[str, Any]
Signals = Sequence[float]
"""Log-probabilities of the tokens of a reply, in order."""


class Step(NamedTuple):
    """A subtask of a labelled plan."""

    confidence: float | None
    """Of the evaluation model, as the label search read it."""
    logprobs: Signals | None
    """Of its tokens; None: the model does not show them, or the problem is behind the limit."""
    label_group: Group
    """Of the cheapest model that was verified right."""


class _Overheard(CachedTransport):
    """Answers from what was kept only, and remembers the last reply's probabilities."""

    logprobs: Signals | None = None

    def call(self, call: Call) -> Generator[Any, Any, Outcome]:
        """Answer."""
        outcome = yield from super().call(call)
        self.logprobs = outcome.reply.token_logprobs if outcome.reply else None
        return outcome


def kept_steps(
    sampled: Sequence[Row], labelled: Sequence[Row], cache_file: Path, config: str, limit: int
) -> list[Step]:
    """All subtasks of labelled plans, with the tokens' probabilities for the first problems.

    Raises:
        BadValueError: Another pool was sampled with, or executions were not kept in this file.
    """
    pool, confidence = open_pool(read_settings(config, "pool", PoolSettings))
    provenance = labelled[0]["provenance"]
    if provenance["pool"] != pool_hash(pool):
        raise BadValueError("config", config, "the one that was sampled with", "Its pool is another one.")
    if not cache_file.exists():
        hint = "Give the --cache that was sampled with."
        raise BadValueError("file of executions", str(cache_file), "one that sample has written", hint)
    kept = ExecutionCache(cache_file)
    try:
        transport = _Overheard(kept, purse=Budget(0.0, limit_tokens=0))
        evaluator = provenance["evaluator"]
        # It asks no decomposer and grades nothing: single subtasks are executed, each from what was kept.
        runner = PlanRunner(pool, _never_asked, transport, decomposer=pool[evaluator], confidence=confidence)
        return asyncio.run(_steps(runner, transport, evaluator, sampled, labelled, limit))
    except BudgetError as error:
        hint = "An execution of the samples is not in it: give the --cache that was sampled with."
        raise BadValueError("file of executions", str(cache_file), "all that the samples took", hint) from error
    finally:
        kept.close()


def _never_asked(_prediction: str, _item: Item) -> bool:
    raise NotImplementedError("no whole plan is run here")


async def _steps(
    runner: PlanRunner,
    transport: _Overheard,
    evaluator: str,
    sampled: Sequence[Row],
    labelled: Sequence[Row],
    limit: int,
) -> list[Step]:
    sure = {(row["id"], plan["reply"]["text"]): plan["confidences"] for row in sampled for plan in row["plans"]}
    found = []
    for number, row in enumerate(labelled):
        for plan in row["plans"]:
            if plan["label"]["status"] != "labelled":
                continue
            heard = await _heard(runner, transport, evaluator, row["query"], plan) if number < limit else {}
            confidences = sure[row["id"], plan["reply"]["text"]]
            for id_, model in plan["label"]["models"].items():
                found.append(Step(confidences.get(id_), heard.get(id_), _group(runner.pool, model)))
    return found


async def _heard(
    runner: PlanRunner, transport: _Overheard, evaluator: str, query: str, plan: Row
) -> dict[str, Signals | None]:
    """By subtask id, the probabilities of the evaluation model's tokens; dependencies come first in a plan's order."""
    answers: dict[str, str] = {}
    heard: dict[str, Signals | None] = {}
    waiting = list(plan["subtasks"])
    while waiting:
        ready = next(s for s in waiting if all(d in answers for d in s["depends_on"]))
        waiting.remove(ready)
        answers[ready["id"]] = (await execute(runner, query, ready, answers, evaluator)).answer
        heard[ready["id"]] = transport.logprobs
    return heard


def _group(pool: ModelPool, model: str) -> Group:
    group = pool[model].group
    if group is None:
        raise BadValueError("group", model, "a model of the pool with a capability group")
    return group
