"""Metrics of a run: a JSON line per step, and a warning when one model takes nearly all subtasks."""

import json
import os
import warnings
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.executions import ExecutionCache
from training.rewards import model_shares

DOMINANT: Final = 0.9
"""Share of subtasks from which one model's dominance is worth a warning."""
_STEPS: Final = 10
"""Last steps that the share is taken over."""


class DominanceWarning(UserWarning):
    """One model gets nearly all subtasks: the router has stopped to choose."""


class PhaseMetrics:
    """The file of metrics of a whole run, and what its pool calls have cost."""

    def __init__(self, path: Path, cache: ExecutionCache | None = None) -> None:
        """Take the file; it is made when the first line comes."""
        self.path, self.cache = path, cache
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines; one that a kill tore is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def drop_after(self, stage: str, step: int) -> None:
        """Forget steps of a stage after its last checkpoint: they are done again."""
        rows = self.rows()
        kept = [row for row in rows if row["stage"] != stage or row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        if self.path.exists() and text != self.path.read_text(encoding="utf-8"):
            beside = self.path.with_suffix(".tmp")
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self.path)  # noqa: PTH105 - one step: a kill leaves the old file or the new one

    @property
    def spent_usd(self) -> float | None:
        """What this process has paid the pool."""
        return self.cache.spending.spent_usd if self.cache else 0.0


class Dominance:
    """Looks whether one model takes nearly all subtasks of the last steps."""

    def __init__(self, stage: str) -> None:
        """Nothing was seen yet."""
        self.stage = stage
        self._recent: deque[Counter[str]] = deque(maxlen=_STEPS)
        self._warned = False

    def see(self, models: Mapping[str, int]) -> str | None:
        """Count a step; what to say about it, if anything. The first time it is a warning, too."""
        self._recent.append(Counter(models))
        shares = model_shares(sum(self._recent, Counter[str]()).elements())
        first = next(iter(shares), None)
        if first is None or len(self._recent) < _STEPS or shares[first] <= DOMINANT:
            return None
        said = f"{self.stage}: {first} got {shares[first]:.0%} of the subtasks of the last {_STEPS} steps"
        if not self._warned:
            warnings.warn(f"{said}. The router has nearly stopped to choose.", DominanceWarning, stacklevel=2)
        self._warned = True
        return said
