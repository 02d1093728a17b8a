"""Calibrating real weights: the probe says what the models can do, and a changed pool routes without training."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from langchain_r2 import ModelPool, create_r2_graph
from langchain_r2.calibrate import calibrated_router
from langchain_r2.cli import app
from langchain_r2.confidence import Confidence
from langchain_r2.confidence.file import CalibrationFile
from langchain_r2.embedded import embedded_pool, embedded_router
from langchain_r2.evals.benchmarks.arithmetic import Problem, grade, problems
from langchain_r2.routers.baselines import FixedAllocator

PROBE = 40
DRAWN: list[Problem] = list(islice(problems("validation", seed=11, shard="calibrate"), 16))


def write_pool(path: Path, names: Sequence[str]) -> Path:
    path.write_text("".join(f'[[models]]\nembedded = "{name}"\n' for name in names))
    return path


def calibrate(pool: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["calibrate", "--pool", str(pool), "--probe", str(PROBE), *arguments])
    assert result.exit_code == 0, result.output
    return result.stderr


def accuracy(**router: Any) -> float:
    """Share of problems answered right, with the shipped decomposer."""
    graph = create_r2_graph(**{**router, "decomposer": embedded_router()["decomposer"]})

    async def run() -> list[bool]:
        states = await asyncio.gather(*(graph.ainvoke({"query": p.query}) for p in DRAWN))
        return [grade(s["answer"] or "", p.answer) for s, p in zip(states, DRAWN, strict=True)]

    return sum(asyncio.run(run())) / len(DRAWN)


@pytest.mark.slow
def test_models_come_and_go_without_training(tmp_path: Path) -> None:
    names = [n for n in embedded_pool().names if n not in {"r2-xlarge", "r2-max"}]
    file = tmp_path / "pool.calibration.json"
    pool = write_pool(tmp_path / "pool.toml", names)
    assert "7 models, 40 items each" in calibrate(pool)
    first = CalibrationFile.read(file)
    assert set(first.models) == set(names)

    # One goes, one comes: only the new one is asked.
    changed = [n for n in names if n != "r2-small"] + ["r2-xlarge"]
    write_pool(pool, changed)
    assert "1 models, 40 items each" in calibrate(pool, "--keep")
    second = CalibrationFile.read(file)
    assert set(second.models) == set(changed)
    assert second.models["r2-medium"] == first.models["r2-medium"]

    models = ModelPool.from_toml(str(pool))
    router = calibrated_router(models, file)
    measured = {name: sum(row.right) for name, row in second.models.items()}
    assert measured[router["pool"].strongest.name] == max(measured.values())
    assert set(router["pool"].names) <= set(changed)
    routed = accuracy(**router)
    weakest, strongest = (
        accuracy(pool=models, allocator=FixedAllocator(models, name), confidence=Confidence(threshold=0.0))
        for name in ("r2-nano", "r2-xlarge")
    )
    assert routed >= weakest + 0.4
    assert routed >= strongest - 0.1


def test_samples_tell_right_from_wrong_where_there_are_no_token_probabilities(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.toml", ["r2-mini"])
    calibrate(pool, "--signal", "agreement", "--samples", "4")
    (row,) = CalibrationFile.read(tmp_path / "pool.calibration.json").models.values()
    assert row.calibration.signal == "agreement"
    assert not row.calibration.weak
    assert len(set(row.signals)) > 2  # the samples differ: each has a seed of its own
