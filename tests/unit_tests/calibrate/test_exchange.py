"""A trained router in a pool with models exchanged: who stands in for whom, in which order, with which confidence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from langchain_r2 import ModelPool, ModelSpec, create_r2_graph
from langchain_r2.calibrate.exchange import exchanged_router, placed, stand_ins
from langchain_r2.confidence import Calibration, Confidence
from langchain_r2.confidence.file import CalibrationFile, Measured, Settings
from langchain_r2.errors import BadValueError
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
from langchain_r2.routers.standing_in import StandInAllocator
from langchain_r2.testing import scripted_pool

ITEMS = 10
BEFORE = scripted_pool(*"abcd")


def made(**models: tuple[int, float | None]) -> CalibrationFile:
    """A file of models, each with how many items it got right and what one cost."""
    settings = Settings(source="test", items=ITEMS, signal="sequence", target=0.9)
    rows = {
        name: Measured(
            calibration=Calibration(slope=1.0, intercept=float(count)),
            cost_usd=cost,
            verdict="",
            right=[i < count for i in range(ITEMS)],
            signals=[-0.1] * ITEMS,
        )
        for name, (count, cost) in models.items()
    }
    return CalibrationFile(date="2026-11-23", versions={}, data_sha256="", settings=settings, models=rows)


OLD: dict[str, tuple[int, float | None]] = {"m1": (2, 1.0), "m2": (5, 2.0), "m3": (8, 4.0), "m4": (10, 8.0)}


def pool_of(*names: str) -> ModelPool:
    new = scripted_pool("new")["m1"]
    known = {**{spec.name: spec for spec in BEFORE}, "new": ModelSpec(name="new", model=new.model, price=new.price)}
    return ModelPool([replace(known[name], group=None) for name in names])


@pytest.mark.parametrize(
    ("names", "new", "order"),
    [
        (("m1", "m3", "m4"), None, ("m1", "m3", "m4")),
        (("new", "m4", "m3", "m2", "m1"), (6, 3.0), ("m1", "m2", "new", "m3", "m4")),
        (("m1", "m2", "new"), (9, 9.0), ("m1", "m2", "new")),
        (("m1", "m2", "m3", "m4", "new"), (8, 5.0), ("m1", "m2", "m3", "m4")),  # m3 did as well for less
        (("m1", "m2", "m3", "m4", "new"), (8, None), ("m1", "m2", "m3", "m4")),
    ],
)
def test_a_new_model_gets_its_place_by_the_probe(
    names: Sequence[str], new: tuple[int, float | None] | None, order: tuple[str, ...]
) -> None:
    file = made(**OLD, **({"new": new} if new else {}))
    found = placed(BEFORE, pool_of(*names), file)
    assert found.names == order
    assert [spec.group for spec in found] == [spec.group for spec in scripted_pool(*order)]


def test_a_model_that_left_is_stood_in_for_by_the_cheapest_that_did_as_well() -> None:
    file = made(**OLD)
    assert stand_ins(BEFORE, pool_of("m1", "m3", "m4"), file)["m2"] == "m3"
    assert stand_ins(BEFORE, pool_of("m1", "m2", "m3"), file)["m4"] == "m3"  # nobody did: the strongest there is
    with_new = made(**OLD, new=(6, 3.0))
    assert stand_ins(BEFORE, pool_of("m1", "new", "m3", "m4"), with_new)["m2"] == "new"


def test_of_the_models_that_stay_only_a_new_one_takes_the_place() -> None:
    now = pool_of("m1", "m2", "new", "m3", "m4")
    good = stand_ins(BEFORE, now, made(**OLD, new=(8, 3.0)))
    assert good == {"m1": "m1", "m2": "m2", "m3": "new", "m4": "m4"}
    dear = stand_ins(BEFORE, now, made(**OLD, new=(8, 5.0)))
    assert dear == {name: name for name in BEFORE.names}
    # m4 was no better than m3 on the probe, and dearer: the allocator that learned the difference is believed
    equal = made(**{**OLD, "m3": (10, 4.0)}, new=(1, 9.0))
    assert stand_ins(BEFORE, now, equal)["m4"] == "m4"


def trained(model: str) -> dict[str, Any]:
    own = {name: Calibration(slope=0.0, intercept=9.0) for name in BEFORE.names}
    return {
        "pool": BEFORE,
        "decomposer": NoDecomposer(),
        "allocator": FixedAllocator(BEFORE, model),
        "confidence": Confidence(calibrations=own, threshold=0.5),
    }


@pytest.mark.parametrize(("model", "ran"), [("m2", "m3"), ("m3", "m3"), ("m1", "m1")])
def test_the_graph_runs_the_stand_in(tmp_path: Path, model: str, ran: str) -> None:
    made(**OLD).write(tmp_path / "f.json")
    router = exchanged_router(trained(model), pool_of("m1", "m3", "m4"), tmp_path / "f.json")
    output = create_r2_graph(**router).invoke({"query": "q"})
    assert [attempt["model"] for attempt in output["attempts"]] == [ran]
    assert output["allocation"]["reasons"] == {"1": "allocated"}


def test_a_new_model_is_trusted_as_the_probe_says_and_the_others_as_before(tmp_path: Path) -> None:
    file = made(**OLD, new=(6, 3.0))
    file.write(tmp_path / "f.json")
    router = exchanged_router(trained("m1"), pool_of("m1", "m3", "new"), tmp_path / "f.json")
    found = router["confidence"].calibrations
    assert found["new"] == file.models["new"].calibration
    assert found["m3"] == trained("m1")["confidence"].calibrations["m3"]


def test_a_model_that_was_not_probed_is_named(tmp_path: Path) -> None:
    made(**OLD).write(tmp_path / "f.json")
    with pytest.raises(BadValueError, match=r"'new'.*--keep asks those that are missing"):
        exchanged_router(trained("m1"), pool_of("m1", "new"), tmp_path / "f.json")


def test_an_allocator_that_names_a_stranger_is_an_error() -> None:
    pool = pool_of("m1", "m3")
    allocator = StandInAllocator(pool, FixedAllocator(BEFORE, "m2"), {"m1": "m1"})
    with pytest.raises(BadValueError, match="model without a stand-in"):
        create_r2_graph(pool, decomposer=NoDecomposer(), allocator=allocator).invoke({"query": "q"})
