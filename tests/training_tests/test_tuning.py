"""The supervised fit is tuned role by role, on validation, and what was tried is not tried again."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from training.embedded import tuning
from training.embedded.supervised import SUPERVISED
from training.embedded.tuning import TRIED, TRIES, Try, carry_out, chosen, table, tries_of, tuned
from training.executions import ExecutionCache
from training.sft_data import ROLES

WEIGHTS = "adapter_model.safetensors"


def write(out: Path, attempt: Try, accuracy: float, usd: float) -> None:
    folder = out / "tuning" / attempt.name
    (folder / attempt.role).mkdir(parents=True)
    (folder / attempt.role / WEIGHTS).write_text(attempt.name)
    row = {"role": attempt.role, "rate": attempt.rate, "epochs": attempt.epochs, "cpu_s": 50.0, "fit_cpu_s": 20.0}
    (folder / TRIED).write_text(json.dumps({**row, "accuracy": accuracy, "usd_per_query": usd}))


def all_tried(out: Path) -> None:
    """In each role the second is the cheapest of those that are as good."""
    for role in ROLES:
        for place, attempt in enumerate(tries_of(role)):
            write(out, attempt, [0.97, 0.968, 0.9][min(place, 2)], [3e-6, 2e-6, 1e-6][min(place, 2)])


def test_of_the_most_accurate_fits_on_validation_the_cheapest_is_taken(tmp_path: Path) -> None:
    all_tried(tmp_path)
    for role in ROLES:
        assert chosen(tmp_path, role) == tries_of(role)[1]
    text = table(tmp_path)
    assert f"Chosen: {tries_of('decomposer')[1].name}, {tries_of('allocator')[1].name}." in text
    assert f"{50 * len(TRIES)} s, of it {20 * len(TRIES)} s fitting" in text


def test_the_first_seed_takes_what_was_tried(tmp_path: Path) -> None:
    all_tried(tmp_path)
    for role, folder in tuned(tmp_path, 0).items():
        assert (folder / WEIGHTS).read_text() == next(a for a in tries_of(role)[1:]).name  # type: ignore[arg-type]


def test_nothing_is_chosen_before_all_was_tried(tmp_path: Path) -> None:
    write(tmp_path, tries_of("decomposer")[0], 0.9, 1e-6)
    with pytest.raises(BadValueError, match="fits of the decomposer that were tried"):
        chosen(tmp_path, "decomposer")


def test_an_allocator_is_tried_beside_the_decomposer_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_tried(tmp_path)
    as_it_was = next(attempt for attempt in tries_of("allocator") if not attempt.epochs)
    (tmp_path / "tuning" / as_it_was.name / TRIED).unlink()
    seen: list[dict[str, Path]] = []

    def home(folder: Path, **adapters: Path) -> Path:
        seen.append(adapters)
        return folder

    def settle(*_: Any) -> dict[str, float]:
        return {"accuracy": 0.5, "usd_per_query": 1e-6}

    monkeypatch.setattr(tuning, "new_home", home)
    monkeypatch.setattr(tuning, "settle", settle)
    carry_out(tmp_path, as_it_was, ExecutionCache())
    second = tmp_path / "tuning" / tries_of("decomposer")[1].name / "decomposer"
    assert [adapters["decomposer"] for adapters in seen] == [second]
    supervised = (SUPERVISED / "allocator" / WEIGHTS).read_bytes()
    assert (seen[0]["allocator"] / WEIGHTS).read_bytes() == supervised
    assert json.loads((tmp_path / "tuning" / as_it_was.name / TRIED).read_text())["accuracy"] == 0.5
    carry_out(tmp_path, as_it_was, ExecutionCache())
    assert len(seen) == 1
