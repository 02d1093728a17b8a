"""The commands ``sample`` and ``label``."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from langchain_r2.errors import BadValueError
from langchain_r2.ledger import usd
from langchain_r2.model_spec import PromptStyle
from training.costs import stage, totals
from training.executions import ExecutionCache, model_hash
from training.items import TrainItem, check_apart, load_train_items, split_hash
from training.lines import Lines, read_lines
from training.settings import DataSettings, PoolSettings, SamplingSettings, SearchSettings, read_settings
from training.sources import Opened, evaluator_of, opened, pool_hash, prompts_hash

UNDER_WAY = 64
"""Problems at a time."""

Row = dict[str, Any]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands."""
    sample = commands.add_parser("sample", help="draw plans per problem, run and score them")
    label = commands.add_parser("label", help="search the cheapest right allocation of sampled plans")
    for parser in (sample, label):
        parser.add_argument("--config", default="embedded", help="TOML file, or a name in training/configs")
        parser.add_argument("--out", type=Path, required=True, help="folder: samples.jsonl, labels.jsonl, ledger.jsonl")
        parser.add_argument("--cache", type=Path, help="file of executions (default: OUT/executions.sqlite)")
        parser.add_argument("--limit", type=int, help="most problems, in place of the config's")
    sample.set_defaults(run=run_sample)
    label.set_defaults(run=run_label)


def run_sample(args: argparse.Namespace) -> None:
    """Draw, run and score plans."""
    from training.coherence import coherence_named
    from training.sampling import Sampler

    pool_settings = read_settings(args.config, "pool", PoolSettings)
    data = read_settings(args.config, "data", DataSettings)
    settings = read_settings(args.config, "sampling", SamplingSettings)
    items = training_items(data, args.limit)
    with opened(pool_settings, data, args.cache or args.out / "executions.sqlite") as made:
        evaluator = evaluator_of(made.pool, settings.evaluator)
        coherence = coherence_named(settings.coherence, made.pool, made.transport)
        sampler = Sampler(made.runner, settings, evaluator, coherence)
        provenance = {
            **_provenance(made, data, items),
            "evaluator": evaluator.name,
            "settings": asdict(settings),
        }
        with (
            stage("sample", args.out / "ledger.jsonl", made.cache) as facts,
            Lines(args.out / "samples.jsonl", provenance) as lines,
        ):
            waiting = [item for item in items if item.id not in lines.done]
            facts["problems"] = len(waiting)

            async def one(item: TrainItem) -> None:
                lines.add(item.id, await sampler.sample(item))

            asyncio.run(each(waiting, one, "sampling plans", made.cache))
    rows = read_lines(args.out / "samples.jsonl")
    right = sum(any(plan["status"] == "right" for plan in row["plans"]) for row in rows)
    plans = sum(len(row["plans"]) for row in rows)
    print(f"{len(rows)} problems, {plans / len(rows):.2f} plans each; {right / len(rows):.1%} have a right one")


def run_label(args: argparse.Namespace) -> None:
    """Search labels, and report."""
    from training.labelling import label_problem, optima, report

    pool_settings = read_settings(args.config, "pool", PoolSettings)
    data = read_settings(args.config, "data", DataSettings)
    settings = read_settings(args.config, "search", SearchSettings)
    sampled = read_lines(args.out / "samples.jsonl")[: args.limit]
    with opened(pool_settings, data, args.cache or args.out / "executions.sqlite") as made:
        provenance = {**sampled[0]["provenance"], "search": asdict(settings)}
        if provenance["pool"] != pool_hash(made.pool):
            hint = "Sample again: its plans were run with another pool."
            raise BadValueError("samples", str(args.out), "samples of the same pool", hint)
        with (
            stage("label", args.out / "ledger.jsonl", made.cache) as facts,
            Lines(args.out / "labels.jsonl", provenance) as lines,
        ):
            waiting = [row for row in sampled if row["id"] not in lines.done]
            facts["problems"] = len(waiting)

            async def one(row: Row) -> None:
                lines.add(row["id"], await label_problem(made.runner, settings, row, provenance["evaluator"]))

            asyncio.run(each(waiting, one, "searching labels", made.cache))
        rows = read_lines(args.out / "labels.jsonl")
        with (
            stage("optimum", args.out / "ledger.jsonl", made.cache),
            tqdm(total=min(len(rows), settings.optimum_items), desc="enumerating optima") as bar,
        ):
            compared = asyncio.run(optima(made.runner, rows, settings.optimum_items, bar.update))
    found = report(rows, compared, models=len(made.pool), sent=totals(args.out / "ledger.jsonl")["label"]["sent"])
    (args.out / "label_report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def training_items(data: DataSettings, limit: int | None = None) -> list[TrainItem]:
    """The problems of the settings, once it is known that none of them is in the test split.

    Raises:
        BadValueError: One is, or the data is wrong in itself.
    """
    items = load_train_items(data.source, data.split, limit or data.limit, seed=data.seed, shard=data.shard)
    if data.test_split == data.split:
        hint = "What is trained on cannot be what is tested on."
        raise BadValueError("test_split", data.test_split, f"another split than {data.split!r}", hint)
    if data.source != "arithmetic":  # the generator's splits are apart by a hash
        check_apart(items, load_train_items(data.source, data.test_split, 1_000_000))
    return items


async def each(rows: Sequence[Any], work: Callable[[Any], Awaitable[None]], title: str, cache: ExecutionCache) -> None:
    """Work on rows, some at a time, with a bar that shows what was spent."""
    turns, before = asyncio.Semaphore(UNDER_WAY), cache.spending.now()
    with tqdm(total=len(rows), desc=title, unit="problem") as bar:

        async def one(row: Any) -> None:  # noqa: ANN401 - of either command
            async with turns:
                await work(row)
            spent = cache.spending - before
            bar.set_postfix_str(f"{usd(spent.spent_usd)} USD, {spent.sent} of {spent.calls} calls sent", refresh=False)
            bar.update()

        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                tasks.create_task(one(row))


def _provenance(made: Opened, data: DataSettings, items: Sequence[TrainItem]) -> Row:
    writer = made.runner.decomposer
    styles: set[PromptStyle] = {spec.prompt_style for spec in (writer, *made.pool)}
    return {
        "pool": pool_hash(made.pool),
        "models": list(made.pool.names),
        "decomposer": [writer.name, model_hash(writer)],
        "prompts": {style: prompts_hash(style) for style in sorted(styles)},
        "data": [data.source, data.split, data.seed, data.shard],
        "split_sha256": split_hash(items),
    }
