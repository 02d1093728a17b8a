"""Alternating reinforcement: decomposer, data anew, allocator, data anew, in rounds (METHOD 4.2).

Everything that is done leaves a file behind: executions as they are made, a line of data per query, checkpoints within
a phase, a marker per stage. Killed and started again with the same settings, it goes on from the last of them.

Deviation: with ``joint`` both roles learn in one round of turns of a few steps, each beside the other as it has just
become. TRL trains one model at a time; a rollout of both at once would take a trainer of our own.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import Grader, open_grader
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.routers.prompted import PromptedAllocator
from training.commands_data import training_items
from training.costs import stage as metered
from training.executions import CachedTransport, ExecutionCache
from training.export import export_adapter
from training.grpo import Example, train_phase
from training.grpo_metrics import PhaseMetrics
from training.grpo_settings import Stage, stages
from training.items import grader_named, split_hash
from training.lines import short_hash
from training.plan_requests import AS_ALLOCATED
from training.plan_runs import PlanRunner
from training.policy import allocate_chat, decompose_chat, load_policy
from training.refresh import Refreshed, read_refreshed, refresh
from training.review import ReviewedTransport
from training.role_models import role_spec
from training.rollouts import EventLoop, Rollouts, reference_costs
from training.run_settings import RunSettings
from training.sft_data import ROLES, Role
from training.sources import open_pool, pool_hash

_FIRST: Final = os.environ.get("RANK", "0") == "0"
"""Whether this is the only process, or the first of those that accelerate has started."""
START: Final = Stage(name="start-data", kind="refresh", role="decomposer", phase="start", until_step=0)


class Alternation:
    """A run in a folder."""

    def __init__(
        self, settings: RunSettings, out: Path, pool: ModelPool, grader: Grader, cache: ExecutionCache
    ) -> None:
        """Check everything that can be checked before anything is spent.

        Raises:
            BadValueError: The folder is of other settings, problems of the test split are trained on, or an adapter is
                for another base.
        """
        self.settings, self.out, self.pool, self.grader, self.cache = settings, out, pool, grader, cache
        self.items = training_items(settings.data, None)
        if settings.grpo.eta and any(m.price.input is None or m.price.output is None for m in pool):
            hint = "A saving can only be rewarded where every price is known: state them, or set eta to 0."
            raise BadValueError("eta", settings.grpo.eta, "0 for this pool", hint)
        self._check_folder()
        for name in ROLES:
            load_policy(settings.role(name), dtype=settings.grpo.dtype)
        self.confidence = confidence = open_pool(settings.pool)[1]
        self.transport = (
            CachedTransport(cache)
            if settings.review.policy == "never"
            else ReviewedTransport(cache, pool, settings.review, confidence)
        )
        self.loop = EventLoop()
        self.metrics = PhaseMetrics(out / "metrics.jsonl", cache)

    def run(self) -> dict[str, Path]:
        """Do what is left to do; the folders of the trained adapters by role."""
        try:
            if not _FIRST:  # the first process has kept the references by then
                self._wait(START)
            with metered("references", self.out / "ledger.jsonl", self.cache) as facts:
                references = self.loop.run(reference_costs(self.runner(), self.items))
                known = [cost for cost in references.values() if cost is not None]
                facts["reference_usd"] = fmean(known) if known else None
            for stage in (START, *stages(self.settings.alternate, self.settings.grpo)):
                if not self.marker(stage).exists():
                    self._do(stage, references)
        finally:
            self.loop.close()
        return {role: folder for role in ROLES if (folder := self._adapter(role)) is not None}

    def _do(self, stage: Stage, references: Mapping[str, float | None]) -> None:
        """Do a stage. Of several processes that accelerate has started all train; the first one does the rest."""
        if stage.kind == "refresh" and not _FIRST:
            self._wait(stage)
            return
        with metered(stage.name, self.out / "ledger.jsonl", self.cache) as facts:
            facts.update(self._refresh(stage) if stage.kind == "refresh" else self._train(stage, references))
        if _FIRST:
            _write(self.marker(stage), asdict(stage) | dict(facts))
        else:
            self._wait(stage)

    def _wait(self, stage: Stage) -> None:
        while not self.marker(stage).exists():
            time.sleep(0.5)

    def marker(self, stage: Stage) -> Path:
        """The file that says that a stage is done."""
        return self.out / "stages" / f"{stage.name}.json"

    def runner(self) -> PlanRunner:
        """A runner with both routers as they are."""
        allocator = PromptedAllocator(
            self._spec("allocator"),
            self.pool,
            max_samples=1,
            shuffle_aliases=self.settings.role("allocator").shuffle_aliases,
            transport=self.transport,
        )
        return PlanRunner(
            self.pool,
            self.grader,
            self.transport,
            decomposer=self._spec("decomposer"),
            allocator=allocator,
            confidence=self.confidence,
            context=R2Context() if self.settings.alternate.reallocate else AS_ALLOCATED,
            max_subtasks=self.settings.pool.max_subtasks,
            concurrency=self.settings.pool.concurrency,
            timeout_s=self.settings.pool.timeout_s,
        )

    def _train(self, stage: Stage, references: Mapping[str, float | None]) -> dict[str, Any]:
        role, grpo = self.settings.role(stage.role), self.settings.grpo
        runner = self.runner()
        data = self._data(stage)
        policy = load_policy(role, dtype=grpo.dtype, adapter=self._adapter(stage.role, before=stage.phase))
        labels = {id_: row.label for id_, row in data.items()} if stage.role == "allocator" and grpo.kappa else {}
        rollouts = Rollouts(
            runner,
            grpo.rewards,
            self.loop,
            group_size=grpo.group_size,
            references=references,
            labels=labels,
            max_abstained_share=grpo.max_abstained_share,
        )
        saved = train_phase(
            policy,
            self._examples(stage.role, runner, data),
            rollouts,
            grpo,
            self.out / "phases" / stage.phase,
            stage=stage.phase,
            metrics=self.metrics,
            until_step=stage.until_step,
        )
        rows = [row for row in self.metrics.rows() if row["stage"] == stage.phase]
        facts = {"role": stage.role, "stage": stage.name, "steps": stage.until_step, "grpo": asdict(grpo)}
        facts |= {"pool": pool_hash(self.pool), "data": split_hash(self.items), "dropped": _total(rows)}
        tokenizer = policy.tokenizer.name_or_path
        if _FIRST:
            export_adapter(saved, self._folder(stage), base=role.base, tokenizer=tokenizer, facts=facts)
        return {"steps": stage.until_step, "dropped": facts["dropped"], "last_reward": rows[-1]["reward"]}

    def _examples(self, role: Role, runner: PlanRunner, data: Mapping[str, Refreshed]) -> list[Example]:
        style, made = self.settings.role(role).prompt_style, []
        for item in self.items:
            row = data[item.id]
            if role == "decomposer":
                chat = decompose_chat(item.query, style, max_subtasks=runner.max_subtasks)
                made.append(Example(item, chat, difficulty=row.difficulty))
            elif row.subtasks and runner.allocator is not None:
                chat = allocate_chat(runner.allocator, item.query, row.subtasks)
                made.append(Example(item, chat, row.reply, row.difficulty))
        return made

    def _refresh(self, stage: Stage) -> dict[str, Any]:
        search = self.settings.search if self.settings.grpo.kappa else None
        work = refresh(self.runner(), self.items, self._file(stage), {"run": self._provenance()}, search)
        rows = list(self.loop.run(work).values())
        told = [row for row in rows if row.status in {"right", "wrong", "unusable"}]
        costs = [row.cost_usd for row in told if row.cost_usd is not None]
        return {
            "accuracy": fmean(row.status == "right" for row in told) if told else None,
            "cost_usd": fmean(costs) if costs else None,
            "failed": len(rows) - len(told),
            "labelled": sum(bool(row.label) for row in rows),
        }

    def _data(self, stage: Stage) -> dict[str, Refreshed]:
        """The newest data; turns of one phase all learn on what there was when it began."""
        before = self._done_before(stage.phase)
        return read_refreshed(self._file([s for s in before if s.kind == "refresh"][-1]))

    def _done_before(self, phase: str | None) -> list[Stage]:
        """Stages that are done, up to the first one of a phase."""
        done: list[Stage] = []
        for stage in (START, *stages(self.settings.alternate, self.settings.grpo)):
            if stage.phase == phase or not self.marker(stage).exists():
                break
            done.append(stage)
        return done

    def _adapter(self, role: Role, before: str | None = None) -> Path | None:
        """The newest adapter of a role, that of a phase's own turns left out; None: it has not learned yet."""
        done = [s for s in self._done_before(None) if s.kind == "train" and s.role == role and s.phase != before]
        return self._folder(done[-1]) if done else None

    def _folder(self, stage: Stage) -> Path:
        return self.out / "adapters" / stage.name

    def _file(self, stage: Stage) -> Path:
        return self.out / "data" / f"{stage.name}.jsonl"

    def _spec(self, name: Role) -> ModelSpec:
        """A role's model as it is now."""
        return role_spec(name, self.settings, self.pool, self._adapter(name))

    def _provenance(self) -> str:
        """What the run follows from."""
        return short_hash([asdict(self.settings), pool_hash(self.pool), split_hash(self.items)])

    def _check_folder(self) -> None:
        """Refuse a folder of another run."""
        file, ours = self.out / "run.json", json.loads(json.dumps(asdict(self.settings)))
        if not file.exists() and not _FIRST:
            return
        if not file.exists():
            _write(file, {"settings": ours, "pool": pool_hash(self.pool), "data": split_hash(self.items)})
            return
        theirs = json.loads(file.read_text())
        differ = [name for name in ours if ours[name] != theirs["settings"].get(name)]
        differ += ["pool"] * (pool_hash(self.pool) != theirs["pool"]) + ["data"] * (
            split_hash(self.items) != theirs["data"]
        )
        if differ:
            hint = f"It has another {', '.join(differ)}. Take another --out."
            raise BadValueError("folder to go on in", str(self.out), "one of a run with the same settings", hint)


@contextmanager
def opened_run(settings: RunSettings, out: Path, cache: Path | None = None) -> Iterator[Alternation]:
    """Open a run, new or to go on with."""
    out.mkdir(parents=True, exist_ok=True)
    pool = open_pool(settings.pool)[0]
    kept = ExecutionCache(cache or out / "executions.sqlite")
    try:
        with open_grader(grader_named(settings.data.grader)) as grader:
            yield Alternation(settings, out, pool, grader, kept)
    finally:
        kept.close()


def _write(file: Path, value: Mapping[str, Any]) -> None:
    """Write a file in one step: a kill leaves none, or a whole one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    beside.write_text(json.dumps(value, indent=1, default=str) + "\n")
    os.replace(beside, file)  # noqa: PTH105 - as said


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Groups and rollouts of a phase that had no reward."""
    return {name: sum(row[name] for row in rows) for name in ("dropped_groups", "failed", "ungradable")}
