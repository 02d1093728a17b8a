"""A router that was trained on one pool, in a pool with other members: what a probe of all models says decides.

Without training: a model that left is stood in for by the cheapest that did as well on the probe, a new one stands in
for those that it did as well as at a lower cost, and it gets its place in the order of steps upward.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_r2.confidence.file import CalibrationFile, Measured
from langchain_r2.errors import BadValueError
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.routers.standing_in import StandInAllocator


def exchanged_router(trained: Mapping[str, Any], pool: ModelPool, file: str | Path) -> dict[str, Any]:
    """The arguments of ``create_r2_graph`` for a pool with models exchanged.

    Args:
        trained: Those for the pool that the router was trained on, such as ``embedded_router()`` gives: ``pool``,
            ``allocator``, ``confidence`` and whatever else; what is not named here stays.
        pool: The models that there are now, in any order.
        file: What ``langchain-r2 calibrate`` measured of all of them, and of those that left.

    Raises:
        BadValueError: The file lacks a model of either pool, or cannot be read.
    """
    read, before = CalibrationFile.read(file), trained["pool"]
    missing = [name for name in (*before.names, *pool.names) if name not in read.models]
    if missing:
        hint = "Probe the models of both pools: langchain-r2 calibrate --keep asks those that are missing."
        raise BadValueError(f"model of {file}", missing[0], "all of both pools", hint)
    now = placed(before, pool, read)
    new = {name: read.models[name].calibration for name in now.names if name not in before}
    confidence = replace(trained["confidence"], calibrations={**trained["confidence"].calibrations, **new})
    allocator = StandInAllocator(now, trained["allocator"], stand_ins(before, now, read))
    return {**trained, "pool": now, "allocator": allocator, "confidence": confidence}


def placed(before: ModelPool, pool: ModelPool, file: CalibrationFile) -> ModelPool:
    """The models in the order of the trained pool, new ones before the first that did better on the probe.

    A new model is left out where one that stays costs no more and did as well.
    """
    kept: list[ModelSpec] = [spec for spec in before if spec.name in pool]
    stays = [spec.name for spec in kept]
    for spec in pool:
        own = file.models[spec.name]
        if spec.name in before or any(_as_good(file.models[name], own) for name in stays):
            continue
        better = (i for i, other in enumerate(kept) if file.models[other.name].accuracy > own.accuracy)
        kept.insert(next(better, len(kept)), spec)
    return ModelPool([replace(spec, group=None) for spec in kept], name=pool.name)


def stand_ins(before: ModelPool, now: ModelPool, file: CalibrationFile) -> dict[str, str]:
    """Who runs what the trained allocator gives to each model of its pool."""
    new = [spec.name for spec in now if spec.name not in before]
    found = {}
    for spec in before:
        own = file.models[spec.name]
        stays = spec.name in now
        # Of models that stay, a probe of some tens of subtasks knows less than the allocator has learned.
        good = [name for name in (new if stays else now.names) if file.models[name].accuracy >= own.accuracy]
        good = [name for name in good if not stays or _as_good(file.models[name], own)]
        cheapest = min(good, key=lambda name: _cost(file.models[name]), default=now.strongest.name)
        found[spec.name] = spec.name if stays and not good else cheapest
    return found


def _as_good(one: Measured, other: Measured) -> bool:
    return one.accuracy >= other.accuracy and _cost(one) <= _cost(other)


def _cost(row: Measured) -> float:
    return float("inf") if row.cost_usd is None else row.cost_usd
