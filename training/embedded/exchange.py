"""A pool with models exchanged, without training: ``python -m training.embedded.exchange --out exchange-results``.

The shipped router runs the tests with a middle model removed, with one added that it never saw, and with both. All it
learns of the change is a probe of some thirty subtasks per model (``langchain_r2.calibrate``). Records of all pools lie
in OUT/records, a file each, and ``training.embedded.tables OUT/records --against unchanged`` compares them.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from langchain_r2.calibrate.exchange import exchanged_router
from langchain_r2.calibrate.items import digest, probe_items
from langchain_r2.calibrate.measure import ask, measured
from langchain_r2.calibrate.routing import calibrated_router
from langchain_r2.confidence import Confidence
from langchain_r2.confidence.file import CalibrationFile, Settings
from langchain_r2.embedded.bundle import HOME, embedded_router
from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from training.embedded.homes import run_router
from training.embedded.records import TESTS, records_file, rows_of, write_rows
from training.embedded.sizes import Size
from training.executions import CachedTransport, ExecutionCache
from training.items import load_train_items

LEAVES: Final = "r2-medium"
"""The model that is removed, from the middle of the pool."""
COMES: Final = Size("r2-new", 2, 84, 3, True, 4_000_000, 0.10, 0.30, "mistral-small-3.2-24b-instruct (Mistral)")
"""The model that is added: its width is between those of two others."""
PROBE: Final = 30
"""Subtasks that every model is asked."""
TARGET: Final = 0.97
"""Precision that accepted answers of a new model should have; for the others a threshold near it was chosen."""
UNCHANGED: Final = "unchanged"


def newcomer(folder: Path) -> ModelSpec:
    """The model that is added, trained here unless it is there."""
    from training.embedded.models import parameters, train_pool_model

    tokenizer_file = HOME / "tokenizer" / "tokenizer.json"
    if not (folder / "fit.json").exists():
        train_pool_model(COMES, Tokenizer.from_file(str(tokenizer_file)), folder)
    like = embedded_router()["pool"][LEAVES]
    model = EmbeddedChatModel(
        folder=folder, tokenizer_file=tokenizer_file, model_name=COMES.name, max_tokens=like.max_output_tokens
    )
    price = Price(input=COMES.input_usd, output=COMES.output_usd)
    return replace(
        like, name=COMES.name, model=model, price=price, parameters=parameters(folder), group=None, skills=""
    )


def probe(models: Sequence[ModelSpec], file: Path, cache: ExecutionCache) -> None:
    """Ask all models the probe, and write what it says."""
    items, confidence, pool = probe_items(PROBE), Confidence(), ModelPool(models)
    settings = Settings(source="probe", items=PROBE, signal=confidence.signal, target=TARGET)
    transport = CachedTransport(cache)
    asking = ask(models, items, confidence, pool=pool, transport=transport, budget=Budget(None), concurrency=16)
    answers = asyncio.run(asking)
    CalibrationFile(
        date=datetime.now(UTC).date().isoformat(),
        versions={},
        data_sha256=digest(items),
        settings=settings,
        models={name: measured(own, items, settings) for name, own in answers.items()},
    ).write(file)


def routers(new: ModelSpec, file: Path, cache: ExecutionCache) -> Iterator[tuple[str, dict[str, Any]]]:
    """The router on every pool, by the name of its records."""
    trained: dict[str, Any] = {**embedded_router(transport=CachedTransport(cache))}
    before: ModelPool = trained["pool"]
    fewer = [spec for spec in before if spec.name != LEAVES]
    yield UNCHANGED, trained
    pools = {"removed": ModelPool(fewer), "added": ModelPool([*before, new]), "both": ModelPool([*fewer, new])}
    for name, pool in pools.items():
        yield name, exchanged_router(trained, pool, file)
    # What a pool gets that no allocator was ever trained for: the allocation, too, follows from the probe.
    probed = calibrated_router(pools["both"], file, transport=trained["transport"])
    yield "both-probe-alone", {**trained, **probed}


def on_split(router: Mapping[str, Any], split: str, tests: int) -> list[dict[str, Any]]:
    """A router's runs of one test."""
    return run_router(router, load_train_items("arithmetic", split, tests, shard="eval"))


def everything(out: Path, tests: int, splits: Sequence[str]) -> None:
    """All pools, one after the other, then the tables."""
    out.mkdir(parents=True, exist_ok=True)
    cache, new = ExecutionCache(out / "executions.sqlite"), newcomer(out / COMES.name)
    probe([*embedded_router()["pool"], new], out / "probe.json", cache)
    for name, router in routers(new, out / "probe.json", cache):
        print(name, " < ".join(router["pool"].names), getattr(router["allocator"], "stand_ins", ""), sep="\n  ")
        file = records_file(out, name, 0)
        if not file.exists():
            write_rows(file, [row for split in splits for row in rows_of(name, 0, on_split(router, split, tests))])
    tables = ["-m", "training.embedded.tables", str(out / "records"), "--against", UNCHANGED]
    subprocess.run([sys.executable, *tables], check=True)  # noqa: S603 - this interpreter


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("exchange-results"))
    parser.add_argument("--tests", type=int, default=500, help="problems per test")
    parser.add_argument("--splits", nargs="+", choices=TESTS, default=("test",), help="tests to run")
    args = parser.parse_args(arguments)
    everything(args.out, args.tests, args.splits)


if __name__ == "__main__":
    main()
