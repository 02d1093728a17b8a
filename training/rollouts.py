"""From completions to rewards: each is run as a router's reply through the real graph, many at once.

What fails outside the policy abstains (``None``), and so does what cannot be graded. A group in which all abstain
teaches nothing: it is counted. Where too many abstain the phase ends with an error instead of learning from the rest.

Shapes: ``_P`` queries of the batch, ``_G`` rollouts of the group of one query.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from statistics import fmean
from typing import Any, Final, NamedTuple, TypeVar

from langchain_r2.errors import R2Error
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.prompts import prompts_for
from langchain_r2.transport import Call
from training.executions import Stored
from training.items import TrainItem
from training.plan_requests import PlanRequest, PlanRun
from training.plan_runs import PlanRunner
from training.rewards import RewardSettings, agreement, group_counts, model_shares, reward

T = TypeVar("T")

_WINDOW: Final = 256
"""Rollouts that the share of abstentions is taken over."""
_FEWEST: Final = 32
"""Rollouts before it is judged."""


class RolloutsFailedError(R2Error):
    """Too many rollouts had no reward, for reasons outside the policy: what the others teach would be chance."""

    def __init__(self, abstained: int, of: int, allowed: float, causes: Mapping[str, int]) -> None:
        """State how many, what is allowed, and the causes with their counts."""
        self.abstained, self.of, self.allowed, self.causes = abstained, of, allowed, dict(causes)
        shown = "; ".join(f"{cause} ({count})" for cause, count in Counter(self.causes).most_common(3))
        super().__init__(
            f"{abstained} of the last {of} rollouts had no reward, allowed is a share of {allowed:g}: {shown}. Mend "
            "the pool (or the gold answers), or raise timeout_s or max_abstained_share; the same command then goes on."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.abstained, self.of, self.allowed, self.causes)


class Rollout(NamedTuple):
    """One completion of the role that learns."""

    item: TrainItem
    reply: Stored
    plan: Stored | None = None
    """For an allocator: the decomposer's reply that it allocates."""


class BatchFacts(NamedTuple):
    """What a batch of rollouts was like; None where no rollout says anything."""

    reward: float | None
    accuracy: float | None
    """Right runs among those that did not abstain."""
    cost_usd: float | None
    """Mean of the runs whose price is known."""
    malformed_share: float | None
    failed: int
    ungradable: int
    groups: int
    dropped_groups: int
    zero_variance_share: float | None
    """Among the groups that were not dropped."""
    subtasks: float | None
    """Mean of the plans that were run."""
    models: Mapping[str, int]
    """How many subtasks each model was given."""

    def as_metrics(self) -> dict[str, Any]:
        """As one part of a line of metrics."""
        facts = self._asdict()
        counts: Counter[str] = Counter(facts.pop("models"))
        return facts | {"model_shares": model_shares(counts.elements())}


class EventLoop:
    """An event loop on a thread of its own: clients of models stay with it from step to step."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rollouts", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it."""
        waiting: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    def close(self) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Rollouts:
    """Scores batches of rollouts of one phase."""

    def __init__(
        self,
        runner: PlanRunner,
        settings: RewardSettings,
        loop: EventLoop,
        *,
        group_size: int,
        references: Mapping[str, float | None],
        labels: Mapping[str, Mapping[str, str]] | None = None,
        max_abstained_share: float = 0.2,
    ) -> None:
        """Make a scorer.

        Args:
            runner: Runs the plans; its allocator is the frozen one, or reads the replies of the one that learns.
            settings: What is rewarded.
            loop: Where they run.
            group_size: Rollouts per query; batches are ordered by query.
            references: By item id, what the strongest model's step-by-step run costs.
            labels: By item id, the verified model per subtask id; for an allocator.
            max_abstained_share: Above it, an error.
        """
        self.runner, self.settings, self.loop, self.group_size = runner, settings, loop, group_size
        self.references, self.labels, self.max_abstained_share = references, labels or {}, max_abstained_share
        self.facts: BatchFacts | None = None
        """Of the last batch."""
        self.abstained: list[bool] = []
        """Which rollouts of the last batch had no reward."""
        self._recent: deque[str | None] = deque(maxlen=_WINDOW)
        self._groups = {model.name: str(model.group) for model in runner.pool}

    def score(self, batch: Sequence[Rollout]) -> list[float | None]:
        """Run a batch and reward it.

        Raises:
            RolloutsFailedError: Too many failed.
        """
        runs = self.loop.run(self._runs(batch))
        rewards = [self._reward(rollout, run) for rollout, run in zip(batch, runs, strict=True)]
        self.abstained = [r is None for r in rewards]
        self._check(runs, rewards)
        self.facts = self._facts(runs, rewards)
        return rewards

    async def _runs(self, batch: Sequence[Rollout]) -> list[PlanRun]:
        """Equal rollouts are run once: what they cost and say is the same."""
        unique = list(dict.fromkeys(batch))
        made = [
            PlanRequest(item=r.item, plan=r.reply, allocation=None)
            if r.plan is None
            else PlanRequest(item=r.item, plan=r.plan, allocation=r.reply)
            for r in unique
        ]
        runs = dict(zip(unique, await self.runner.arun_all(made), strict=True))
        return [runs[rollout] for rollout in batch]

    def _reward(self, rollout: Rollout, run: PlanRun) -> float | None:
        return reward(
            run.status,
            self.settings,
            form=run.parse,
            cost_usd=run.cost_usd,
            reference_usd=self.references.get(rollout.item.id),
            agreed=agreement(run.allocation, self.labels.get(rollout.item.id, {}), self._groups),
        )

    def _check(self, runs: Sequence[PlanRun], rewards: Sequence[float | None]) -> None:
        for run, earned in zip(runs, rewards, strict=True):
            self._recent.append(f"{run.status}: {run.error}" if earned is None else None)
        causes = Counter(cause for cause in self._recent if cause is not None)
        abstained, of = causes.total(), len(self._recent)
        if abstained == of or (of >= _FEWEST and abstained > self.max_abstained_share * of):
            raise RolloutsFailedError(abstained, of, self.max_abstained_share, causes)

    def _facts(self, runs: Sequence[PlanRun], rewards: Sequence[float | None]) -> BatchFacts:
        rewards_PG = [rewards[i : i + self.group_size] for i in range(0, len(rewards), self.group_size)]
        counts = group_counts(rewards_PG)
        told = [run for run in runs if run.status not in {"failed", "ungradable"}]
        ran = [run for run in told if run.status != "unusable"]
        taught = counts.groups - counts.dropped
        return BatchFacts(
            reward=_mean([r for r in rewards if r is not None]),
            accuracy=_mean([float(run.status == "right") for run in told]),
            cost_usd=_mean([run.cost_usd for run in ran if run.cost_usd is not None]),
            malformed_share=_mean([float(run.status == "unusable" or run.parse != "clean") for run in told]),
            failed=sum(run.status == "failed" for run in runs),
            ungradable=sum(run.status == "ungradable" for run in runs),
            groups=counts.groups,
            dropped_groups=counts.dropped,
            zero_variance_share=counts.zero_variance / taught if taught else None,
            subtasks=_mean([float(len(run.plan)) for run in ran]),
            models=Counter(model for run in ran for model in run.allocation.values()),
        )


async def reference_costs(runner: PlanRunner, items: Sequence[TrainItem]) -> dict[str, float | None]:
    """What the strongest model's own step-by-step run of each item costs; None where it failed or has no price.

    Each is really run, once: the runner's transport keeps it.
    """
    spec, turns = runner.pool.strongest, asyncio.Semaphore(runner.concurrency)
    prompts = prompts_for(spec.prompt_style)

    async def one(item: TrainItem) -> float | None:
        call = Call(spec=spec, prompt=prompts.cot(item.query), role="executor", budget=Budget())
        async with turns:
            outcome = await arun(runner.transport.call(call))
        return None if outcome.reply is None else outcome.attempts[-1]["cost_usd"]

    return dict(zip([item.id for item in items], await asyncio.gather(*(one(i) for i in items)), strict=True))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
