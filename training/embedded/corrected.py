"""Supervised training on corrected traces: what reinforcement is compared with.

The router that all start from draws plans of the problems that reinforcement would see. Of the plans that come out
right - its own, or finer ones made of them - the cheapest with its verified allocation stands in place of what the
router would have done; both roles go on learning from these alone. A problem without a right plan teaches nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from training.alternate import Alternation, opened_run
from training.coherence import coherence_named
from training.commands_data import each
from training.costs import stage
from training.items import TrainItem, split_hash
from training.labelling import label_problem
from training.lines import Lines, read_lines, short_hash
from training.run_settings import RunSettings
from training.sampling import Sampler
from training.settings import SamplingSettings, SftSettings
from training.sft import fit_adapter
from training.sft_data import ROLES, texts_for
from training.sources import evaluator_of, pool_hash

Row = Mapping[str, Any]


def fit_corrected(
    settings: RunSettings, sampling: SamplingSettings, sft: SftSettings, folder: Path, cache: Path
) -> dict[str, Path]:
    """Draw, correct and fit; what is done is kept. Gives the adapters by role.

    Args:
        settings: As for reinforcement; its roles have the adapters to go on from.
        sampling: How plans are drawn.
        sft: How adapters are fitted.
        folder: Of the run.
        cache: The file of executions.
    """
    # A corrected trace keeps to its allocation, or its label would be of another one.
    settings = replace(settings, alternate=replace(settings.alternate, reallocate=False))
    with opened_run(settings, folder, cache) as run:
        try:
            rows = _labels(run, sampling)
            return {role: _fitted(run, role, corrections(rows, sft.styles), sft) for role in ROLES}
        finally:
            run.loop.close()


def _labels(run: Alternation, sampling: SamplingSettings) -> list[dict[str, Any]]:
    """Plans of every problem, then their labels."""
    runner, out = run.runner(), run.out
    evaluator = evaluator_of(run.pool, sampling.evaluator)
    sampler = Sampler(runner, sampling, evaluator, coherence_named(sampling.coherence, run.pool, run.transport))
    provenance = {"run": short_hash([asdict(run.settings), pool_hash(run.pool), split_hash(run.items)])}
    provenance["sampling"] = short_hash(asdict(sampling))
    with stage("sample", out / "ledger.jsonl", run.cache), Lines(out / "samples.jsonl", provenance) as samples:

        async def draw(item: TrainItem) -> None:
            samples.add(item.id, await sampler.sample(item))

        waiting = [item for item in run.items if item.id not in samples.done]
        asyncio.run(each(waiting, draw, "sampling plans", run.cache))
    with stage("label", out / "ledger.jsonl", run.cache), Lines(out / "labels.jsonl", provenance) as labels:

        async def label(row: Row) -> None:
            labels.add(row["id"], await label_problem(runner, run.settings.search, row, evaluator.name))

        rows = [row for row in read_lines(out / "samples.jsonl") if row["id"] not in labels.done]
        asyncio.run(each(rows, label, "searching labels", run.cache))
    return sorted(read_lines(out / "labels.jsonl"), key=lambda row: str(row["id"]))


def corrections(rows: Iterable[Row], styles: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of ``label`` with the plan alone whose label costs least, its decomposer's part too."""
    made = []
    for row in rows:
        plans = [p for p in row["plans"] if p["label"]["status"] == "labelled" and p["style"] in styles]
        if plans:
            best = min(plans, key=lambda plan: (plan["label"]["cost_usd"] or 0.0) + (plan["router_usd"] or 0.0))
            made.append({**row, "plans": [best], "replans": []})
    return made


def _fitted(run: Alternation, role: Any, rows: Sequence[Row], sft: SftSettings) -> Path:  # noqa: ANN401 - a Literal
    runner = run.runner()
    folder: Path = run.out / role
    settings = replace(sft, adapter=run.settings.role(role).adapter)
    texts = texts_for(role, rows, settings, max_subtasks=runner.max_subtasks, allocator=runner.allocator)
    provenance = {"texts": short_hash([[text.messages[-1].text, text.reply] for text in texts])}
    with stage(f"sft-{role}", run.out / "ledger.jsonl") as facts:
        report = fit_adapter(role, texts, settings, folder, provenance)
        facts |= {"tokens": report.tokens, "steps": report.steps, "texts": report.texts}
    return folder
