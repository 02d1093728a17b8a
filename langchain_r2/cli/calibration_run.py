"""The work of ``langchain-r2 calibrate``: asks, writes the file and the picture, shows what they say."""

import asyncio
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from langchain_r2._version import __version__
from langchain_r2.calibrate.items import Item, digest, probe_items, read_items
from langchain_r2.calibrate.measure import Answer, ask, measured, most_usd
from langchain_r2.calibrate.plot import draw_calibration
from langchain_r2.calibrate.routing import reordered, summary
from langchain_r2.cli.view import clean, note
from langchain_r2.confidence import Confidence
from langchain_r2.confidence.file import CalibrationFile, Measured, Settings, calibration_path
from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.evals.metrics import proportion
from langchain_r2.ledger import Budget, bill, usd
from langchain_r2.model_spec import ModelSpec
from langchain_r2.plots.style import save
from langchain_r2.pool import ModelPool
from langchain_r2.pool_file import resolve_pool
from langchain_r2.transport import Transport

CONCURRENCY: Final = 16
"""Items under way at a time, of one model; its own ``max_concurrency`` may allow fewer."""


def run(
    *,
    pool: str,
    items: Path | None,
    probe: int | None,
    confidence: Confidence,
    target: float,
    out: Path | None,
    keep: bool,
    budget_usd: float | None,
) -> int:
    """Calibrate a pool.

    Args:
        pool: ``embedded`` or the path of a pool file.
        items: File of labelled items.
        probe: In its place, how many built-in ones.
        confidence: The signal to measure.
        target: Share of accepted answers that should be right.
        out: File to write; None: beside the pool.
        keep: Whether models that the file has are left as they are.
        budget_usd: Most that it may cost.

    Returns:
        The exit code: 3 where a model did not reply to every item.

    Raises:
        ConfigurationError: Wrong use; nothing was asked.
    """
    if (items is None) == (probe is None):
        raise BadValueError("--items and --probe", (items and str(items), probe), "exactly one of them")
    if not 0 < target < 1:
        raise BadValueError("target", target, "a number between 0 and 1")
    drawn = read_items(items) if items else probe_items(probe or 0)
    models = resolve_pool(pool)
    confidence.check(models)
    path = _writable(out or calibration_path(pool))
    file = _new_file(items.name if items else "probe", drawn, confidence, target)
    if keep:
        file = file.model_copy(update={"models": _kept(path, file, models)})
    waiting = [spec for spec in models if spec.name not in file.models]
    most = most_usd(waiting, drawn, confidence, models)
    note(f"{len(waiting)} models, {len(drawn)} items each: at most {usd(most)} USD, failed tries aside")
    if budget_usd is not None and (most is None or most > budget_usd):
        hint = "Raise it, or take fewer items. Nothing was asked."
        raise BadValueError("budget_usd", budget_usd, f"at least {usd(most)} USD", hint)
    answers = _ask(waiting, drawn, confidence, models, Budget(budget_usd))
    note(f"cost: {usd(bill(row for own in answers.values() for one in own for row in one.attempts).cost_usd)} USD")
    failed = _failed(answers)
    rows = {**file.models, **{n: measured(a, drawn, file.settings) for n, a in answers.items() if n not in failed}}
    if rows:
        _finish(file.model_copy(update={"models": {name: rows[name] for name in models.names if name in rows}}), path)
        _show(models, CalibrationFile.read(path))
    return 3 if failed else 0


def _new_file(source: str, items: Sequence[Item], confidence: Confidence, target: float) -> CalibrationFile:
    """A file that has no measurements yet."""
    return CalibrationFile(
        date=datetime.now(UTC).date().isoformat(),
        versions={
            "python": platform.python_version(),
            "langchain-r2": __version__,
            **{name: version(name) for name in ("langchain-core", "langgraph")},
        },
        data_sha256=digest(items),
        settings=Settings(
            source=source,
            items=len(items),
            signal=confidence.signal,
            samples=confidence.samples,
            temperature=confidence.temperature,
            verifier=confidence.verifier,
            target=target,
        ),
        models={},
    )


def _ask(
    models: Sequence[ModelSpec], items: Sequence[Item], confidence: Confidence, pool: ModelPool, budget: Budget
) -> dict[str, list[Answer]]:
    for spec in models:
        spec.chat_model()  # a missing key or package shows before anything is paid for
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("items", total=len(models) * len(items))
        asking = ask(
            models,
            items,
            confidence,
            pool=pool,
            transport=Transport(),
            budget=budget,
            concurrency=CONCURRENCY,
            on_answer=lambda: bar.advance(task),
        )
        return asyncio.run(asking)


def _kept(path: Path, new: CalibrationFile, pool: ModelPool) -> dict[str, Measured]:
    """The measurements that a file has for the same items."""
    if not path.exists():
        return {}
    old = CalibrationFile.read(path)
    if (old.data_sha256, old.settings) != (new.data_sha256, new.settings):
        hint = "Measure all models anew, without --keep."
        raise BadValueError(f"settings or items of {path}", old.settings.model_dump(), "the same ones", hint)
    return {name: row for name, row in old.models.items() if name in pool}


def _failed(answers: Mapping[str, Sequence[Answer]]) -> set[str]:
    """Models that did not reply to every item: measurements with gaps would be of other items."""
    failed = set()
    for name, own in answers.items():
        errors = [a.error for a in own if a.error is not None]
        if errors:
            failed.add(name)
            hint = "It is not in the file; --keep asks it again. First error:"
            note(f"{name}: {len(errors)} of {len(own)} items without a reply. {hint} {errors[0]}", "red")
    return failed


def _finish(file: CalibrationFile, path: Path) -> None:
    """Write the file and the pictures beside it."""
    file.write(path)
    note(f"written: {path}")
    try:
        pictures = save(draw_calibration(file), path.with_suffix(".png"))
    except MissingExtraError as error:
        note(f"no picture: {error}", "yellow")
    else:
        note(f"written: {', '.join(str(picture) for picture in pictures)}")


def _show(pool: ModelPool, file: CalibrationFile) -> None:
    """Print the table and what follows for routing."""
    columns = ("model", "right [95 %]", "USD per 1000", "AUROC [95 %]", "ECE", "accept from", "accepts")
    table = Table(title=f"{file.settings.items} items, {file.settings.source}, target {file.settings.target:.0%}")
    for column in columns:
        table.add_column(column, justify="left" if column == "model" else "right", overflow="fold")
    for name, row in file.models.items():
        found, right = row.calibration, proportion(row.right)
        low, high = found.auroc_interval or (0.0, 0.0)
        table.add_row(
            clean(name),
            f"{right.value:.0%} [{right.low:.0%}, {right.high:.0%}]",
            usd(None if row.cost_usd is None else 1000 * row.cost_usd),
            "" if found.auroc is None else f"{found.auroc:.2f} [{low:.2f}, {high:.2f}]",
            "" if found.ece is None else f"{found.ece:.3f}",
            "" if found.threshold is None else f"{found.threshold:.3f}",
            "" if found.accepted is None else f"{found.accepted:.0%}",
        )
    console = Console()
    console.print(table)
    lines = [f"{name}: {row.verdict}{_kinds(row)}" for name, row in file.models.items()]
    for line in [*lines, summary(pool, reordered(pool, file), file)]:
        console.print(clean(line), markup=False, highlight=False, soft_wrap=True)


def _kinds(row: Measured) -> str:
    """Which kinds of subtask have a calibration of their own."""
    return f"; by kind: {', '.join(row.kinds)}" if row.kinds else ""


def _writable(path: Path) -> Path:
    if path.is_dir() or path.suffix != ".json" or not os.access(path.parent, os.W_OK):
        raise BadValueError("out", str(path), "a file that ends in .json, in a folder that can be written")
    return path
