"""What follows from measurements: order, groups, thresholds; models that come and go."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_r2 import create_r2_graph
from langchain_r2.calibrate import calibrated_router, reordered
from langchain_r2.calibrate.routing import difficulty, summary
from langchain_r2.confidence import Calibration, Confidence
from langchain_r2.confidence.evaluation import calibrated
from langchain_r2.confidence.file import CalibrationFile, Measured, Settings
from langchain_r2.errors import BadValueError
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.testing import scripted_message, scripted_pool

ITEMS = 40


def row(right: list[bool], cost: float | None, signals: list[float | None] | None = None) -> Measured:
    values = signals or [-0.1 if r else -3.0 for r in right]
    found = calibrated(values, right, signal="sequence", target=0.9)
    return Measured(calibration=found, cost_usd=cost, verdict="", right=right, signals=values)


def first(count: int) -> list[bool]:
    return [i < count for i in range(ITEMS)]


def made(**models: Measured) -> CalibrationFile:
    settings = Settings(source="test", items=ITEMS, signal="sequence", target=0.9)
    return CalibrationFile(date="2026-11-22", versions={}, data_sha256="", settings=settings, models=models)


def test_the_order_is_accuracy_and_groups_follow() -> None:
    file = made(m1=row(first(30), 3.0), m2=row(first(10), 1.0), m3=row(first(20), 2.0))
    ordered = reordered(scripted_pool(*"abc"), file)
    assert [(m.name, m.group) for m in ordered] == [("m2", "SLM"), ("m3", "MLM"), ("m1", "LLM")]


def test_a_model_that_is_beaten_is_left_out_and_named() -> None:
    file = made(m1=row(first(20), 1.0), m2=row(first(20), 2.0), m3=row(first(30), 3.0), m4=row(first(10), 1.0))
    pool = scripted_pool(*"abcd")
    ordered = reordered(pool, file)
    assert ordered.names == ("m1", "m3")
    assert "left out, as others are as accurate and cost no more: m2, m4" in summary(pool, ordered, file)


def test_of_equals_the_first_stays() -> None:
    file = made(m1=row(first(20), 1.0), m2=row(first(20), 1.0))
    assert reordered(scripted_pool(*"ab"), file).names == ("m1",)


def test_unknown_costs_are_not_compared() -> None:
    file = made(m1=row(first(30), None), m2=row(first(20), None), m3=row(first(10), 1.0))
    assert reordered(scripted_pool(*"abc"), file).names == ("m3", "m2", "m1")


def test_a_model_that_was_not_measured_stands_by_its_price() -> None:
    pool = scripted_pool(*"abc", prices=[1.0, 2.0, 4.0])
    file = made(m1=row(first(10), 1.0), m3=row(first(30), 4.0), gone=row(first(35), 9.0))
    ordered = reordered(pool, file)
    assert ordered.names == ("m1", "m2", "m3")
    assert "not measured: m2" in summary(pool, ordered, file)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=6))
def test_what_is_kept_gets_dearer_only_where_it_gets_better(models: list[tuple[int, float]]) -> None:
    none = Calibration(slope=0.0, intercept=0.0)
    rows = [
        Measured(calibration=none, cost_usd=cost, verdict="", right=[i < count for i in range(9)], signals=[None] * 9)
        for count, cost in models
    ]
    file = made(**{f"m{i}": r for i, r in enumerate(rows, 1)})
    kept = [file.models[name] for name in reordered(scripted_pool(*models), file).names]
    assert max(m.accuracy for m in kept) == max(m.accuracy for m in rows)
    for weaker, stronger in pairwise(kept):
        assert weaker.accuracy < stronger.accuracy
        assert (weaker.cost_usd or 0.0) < (stronger.cost_usd or 0.0)


class TestDifficulty:
    def test_a_subtask_is_easy_where_the_small_group_was_right(self) -> None:
        rng = random.Random(0)
        signals: list[float | None] = [-i / 10 + rng.uniform(-0.01, 0.01) for i in range(ITEMS)]
        file = made(m1=row(first(12), 1.0, signals), m2=row(first(25), 2.0), m3=row(first(39), 4.0))
        confidence = Confidence(calibrations={n: m.calibration for n, m in file.models.items()})
        found = difficulty(scripted_pool(*"abc"), file, confidence)
        assert found is not None
        assert (found.evaluator, found.easy > found.medium) == ("m1", True)
        calibration = file.models["m1"].calibration
        assert [sum(calibration(s or 0.0) >= t for s in signals) for t in (found.easy, found.medium)] == [12, 26]

    def test_a_group_that_never_reached_the_target_gets_nothing(self) -> None:
        # m1 is right where m2, the evaluation model, is least sure.
        file = made(m1=row([i >= 35 for i in range(ITEMS)], 2.0), m2=row(first(8), 1.0))
        confidence = Confidence(calibrations={n: m.calibration for n, m in file.models.items()})
        found = difficulty(scripted_pool(*"ab", prices=[2.0, 1.0]), file, confidence)
        assert found is not None
        assert (found.evaluator, found.easy) == ("m2", 1.0)

    def test_without_a_usable_signal_there_is_none(self) -> None:
        assert difficulty(scripted_pool("a"), made(m1=row(first(40), 1.0)), Confidence()) is None


class TestRouter:
    def test_the_file_is_all_that_a_graph_needs(self, tmp_path: Path) -> None:
        path = tmp_path / "pool.calibration.json"
        made(m1=row(first(12), 1.0), m2=row(first(25), 2.0), m3=row(first(39), 4.0)).write(path)
        pool = scripted_pool(*[lambda p, n=n: scripted_message(f"answer: {n}", p, 0.9) for n in "abc"])
        router = calibrated_router(pool, path)
        assert isinstance(router["allocator"], CalibratedAllocator)
        output = create_r2_graph(**router, decomposer=NoDecomposer()).invoke({"query": "q"})
        assert output["answer"] in {"a", "b", "c"}
        assert [a["model"] for a in output["attempts"] if a["role"] == "evaluator"] == ["m1"]

    @pytest.mark.parametrize(("accuracies", "model"), [((1, 39, 40), "m2"), ((1, 2, 3), "m3")])
    def test_without_a_signal_all_goes_to_the_cheapest_good_model(
        self, tmp_path: Path, accuracies: tuple[int, ...], model: str
    ) -> None:
        path = tmp_path / "f.json"
        made(**{f"m{i}": row(first(n), float(i)) for i, n in enumerate(accuracies, 1)}).write(path)
        allocator = calibrated_router(scripted_pool(*"abc"), path)["allocator"]
        assert isinstance(allocator, FixedAllocator)
        assert allocator.model == model


class TestFile:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        file = made(m1=row(first(12), None))
        file.write(tmp_path / "f.json")
        assert CalibrationFile.read(tmp_path / "f.json") == file
        confidence = Confidence.from_file(tmp_path / "f.json", threshold=0.4)
        assert confidence.calibrations["m1"] == file.models["m1"].calibration
        assert (confidence.threshold_for("m1"), confidence.threshold_for("new")) == (
            file.models["m1"].calibration.threshold,
            0.4,
        )

    @pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"format": "other"}', "\x00"])
    def test_what_is_none_is_refused(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "f.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(BadValueError, match=r"calibration file is .*langchain-r2 calibrate"):
            Confidence.from_file(path)

    def test_measurements_must_be_whole(self, tmp_path: Path) -> None:
        file = made(m1=row(first(12), 1.0))
        file.models["m1"].right.pop()
        file.write(tmp_path / "f.json")
        with pytest.raises(BadValueError, match=r"\(39, 40\); allowed: 40 each"):
            CalibrationFile.read(tmp_path / "f.json")
