"""What follows from a calibration file for any pool: order, groups, allocation and thresholds, without training.

A model that leaves the pool leaves its place; one that comes is asked the same items (``calibrate --keep``), or stands
by its price until it is.
"""

import dataclasses
from pathlib import Path
from typing import Final, NamedTuple

from typing_extensions import TypedDict

from langchain_r2.confidence import Confidence, Reading
from langchain_r2.confidence.evaluation import threshold_for
from langchain_r2.confidence.file import CalibrationFile, Measured
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.transport import Transport
from langchain_r2.types import Group

_UNKNOWN: Final = float("inf")


class CalibratedRouter(TypedDict):
    """Arguments of ``create_r2_graph``: ``create_r2_graph(**calibrated_router(pool, file))``."""

    pool: ModelPool
    allocator: Allocator
    confidence: Confidence
    transport: Transport


class Difficulty(NamedTuple):
    """How hard a subtask is, by the confidence of one model in it."""

    evaluator: str
    easy: float
    medium: float


def calibrated_router(pool: ModelPool, file: str | Path, *, transport: Transport | None = None) -> CalibratedRouter:
    """A pool in the order of what was measured, with the allocator and the confidence that follow from it.

    The allocator judges a subtask by the confidence of the cheapest model whose signal is usable. Where none is, all
    goes to the cheapest model that is as accurate as the file's target, or to the most accurate one.

    Args:
        pool: The models, of which some may not be in the file, and some in the file not among them.
        file: What ``langchain-r2 calibrate`` wrote.
        transport: Where calls go; None makes one.

    Raises:
        BadValueError: The file cannot be read, or is no calibration file.
        UnknownModelError: The pool lacks the verifier.
    """
    read = CalibrationFile.read(file)
    confidence = Confidence.from_file(file)
    confidence.check(pool)
    ordered = reordered(pool, read)
    transport = transport or Transport()
    judged = difficulty(ordered, read, confidence)
    allocator: Allocator
    if judged is None:
        allocator = FixedAllocator(ordered, _good_enough(ordered, read))
    else:
        allocator = CalibratedAllocator(
            ordered,
            evaluator=judged.evaluator,
            confidence=confidence,
            easy=judged.easy,
            medium=judged.medium,
            transport=transport,
        )
    return CalibratedRouter(pool=ordered, allocator=allocator, confidence=confidence, transport=transport)


def summary(pool: ModelPool, ordered: ModelPool, file: CalibrationFile) -> str:
    """What a calibration made of a pool, in one line."""
    parts = [f"order {' < '.join(ordered.names)}"]
    if beaten := [name for name in pool.names if name not in ordered]:
        parts.append(f"left out, as others are as accurate and cost no more: {', '.join(beaten)}")
    if new := [name for name in pool.names if name not in file.models]:
        parts.append(f"not measured: {', '.join(new)} (langchain-r2 calibrate --keep measures these alone)")
    return "; ".join(parts)


def reordered(pool: ModelPool, file: CalibrationFile) -> ModelPool:
    """The pool in the order of measured accuracy, the cheaper first among equals; groups are thirds of it.

    A model is left out where another costs no more and is at least as accurate; the verifier stays, and one whose cost
    is unknown. One that was not measured stands before the first that has a higher output price.
    """
    known = [spec for spec in pool if spec.name in file.models]
    kept = [s for s in known if s.name == file.settings.verifier or not _beaten(s, known, file)]
    kept.sort(key=lambda s: (file.models[s.name].accuracy, _cost(file.models[s.name])))
    for spec in pool:
        if spec.name not in file.models:
            dearer = (i for i, other in enumerate(kept) if _price(other) > _price(spec))
            kept.insert(next(dearer, len(kept)), spec)
    return ModelPool([dataclasses.replace(spec, group=None) for spec in kept], name=pool.name)


def difficulty(pool: ModelPool, file: CalibrationFile, confidence: Confidence) -> Difficulty | None:
    """The evaluation model and its thresholds; None where no model's signal is usable.

    Easy is what the evaluation model is so sure of that the middle SLM model reached the file's target precision there,
    medium the same for the MLM group. A group that never reached it gets nothing by allocation.
    """
    measured = {s.name: file.models[s.name].calibration for s in pool if s.name in file.models}
    usable = [name for name, c in measured.items() if c.auroc_interval is not None and not c.weak]
    if not usable:
        return None
    evaluator = min(usable, key=lambda name: _cost(file.models[name]))
    signal = measured[evaluator].signal or file.settings.signal
    sure = [
        0.0 if value is None else confidence.probability(Reading(signal, value, value), evaluator) or 0.0
        for value in file.models[evaluator].signals
    ]

    def least(group: Group) -> float:
        middle = file.models.get(pool.middle(group).name)
        if middle is None:
            return 1.0
        cut = threshold_for(sure, middle.right, file.settings.target)
        return cut.threshold if cut.reached else 1.0

    easy = least("SLM")
    return Difficulty(evaluator, easy, min(easy, least("MLM")))


def _beaten(spec: ModelSpec, others: list[ModelSpec], file: CalibrationFile) -> bool:
    own = file.models[spec.name]
    for place, other in enumerate(others):
        row = file.models[other.name]
        if row.cost_usd is None or own.cost_usd is None or row.accuracy < own.accuracy or row.cost_usd > own.cost_usd:
            continue
        equal = row.accuracy == own.accuracy and row.cost_usd == own.cost_usd
        if not equal or place < others.index(spec):  # of equals the first stays
            return True
    return False


def _good_enough(pool: ModelPool, file: CalibrationFile) -> str:
    names = [name for name in pool.names if name in file.models]
    good = (name for name in names if file.models[name].accuracy >= file.settings.target)
    return next(good, names[-1] if names else pool.strongest.name)


def _cost(row: Measured) -> float:
    return _UNKNOWN if row.cost_usd is None else row.cost_usd


def _price(spec: ModelSpec) -> float:
    return _UNKNOWN if spec.price.output is None else spec.price.output
