"""The command behind ``make train-embedded``: its choice, and its parts in processes of their own."""

import json
from pathlib import Path

import pytest

from training.embedded.result import RATES, chosen_rate, in_lanes


def test_of_the_most_accurate_fits_on_validation_the_cheapest_is_taken(tmp_path: Path) -> None:
    figures = [(0.97, 3e-6), (0.968, 2e-6), (0.9, 1e-6)]
    for rate, (accuracy, cost) in zip(RATES, figures, strict=True):
        folder = tmp_path / "sft" / f"rate-{rate:g}"
        folder.mkdir(parents=True)
        (folder / "tried.json").write_text(json.dumps({"rate": rate, "accuracy": accuracy, "usd_per_query": cost}))
    assert chosen_rate(tmp_path) == RATES[1]


def test_a_part_that_fails_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="a part failed"):  # there are no labels to fit to
        in_lanes([["--rate=1e-4"], ["--rate=2e-4"]], ["--out", str(tmp_path)])
