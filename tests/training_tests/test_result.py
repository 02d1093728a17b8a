"""The command behind ``make train-embedded``: its parts in processes of their own."""

from pathlib import Path

import pytest

from training.embedded.result import in_lanes


def test_a_part_that_fails_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="a part failed"):  # there are no labels to fit to
        in_lanes([["--try=decomposer-0.0001-1"], ["--seed=0"]], ["--out", str(tmp_path)], 2)
