"""The calibration file: what ``langchain-r2 calibrate`` measured, and what follows from it."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from langchain_r2.confidence.calibration import Calibration
from langchain_r2.errors import BadValueError


class Settings(BaseModel):
    """What the measuring was done with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Where the items are from: a file's name, or ``probe``."""
    items: int
    signal: str
    samples: int = 0
    temperature: float = 0.7
    verifier: str | None = None
    target: float
    """Precision that accepted answers should have."""
    seed: int = 0


class Measured(BaseModel):
    """How one model did on the items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: Calibration
    kinds: dict[str, Calibration] = {}
    """For kinds of subtask with enough items."""
    cost_usd: float | None
    """Mean cost of one item's answer; None where the price is unknown."""
    verdict: str
    right: list[bool]
    """Per item, in their order."""
    signals: list[float | None]
    """Per item; None where the reply had no signal."""

    @property
    def accuracy(self) -> float:
        """Share of the items that it got right."""
        return sum(self.right) / len(self.right)


class CalibrationFile(BaseModel):
    """A calibration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["langchain-r2 calibration 1"] = "langchain-r2 calibration 1"
    date: str
    """When it was made, as YYYY-MM-DD."""
    versions: dict[str, str]
    data_sha256: str
    """Of the items."""
    settings: Settings
    models: dict[str, Measured]

    @classmethod
    def read(cls, path: str | Path) -> "CalibrationFile":
        """Read a file.

        Raises:
            BadValueError: It cannot be read, or is no calibration file.
        """
        hint = "Make one with: langchain-r2 calibrate."
        try:
            file = cls.model_validate_json(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            problem = str(error)
            if isinstance(error, ValidationError):
                first = error.errors(include_url=False)[0]
                problem = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
            raise BadValueError("calibration file", str(path), "a readable one", f"{problem}. {hint}") from error
        for name, row in file.models.items():
            if not len(row.right) == len(row.signals) == file.settings.items:
                lengths = (len(row.right), len(row.signals))
                raise BadValueError(f"measurements of {name!r} in {path}", lengths, f"{file.settings.items} each", hint)
        return file

    def write(self, path: str | Path) -> None:
        """Write a file.

        Raises:
            BadValueError: It cannot be written.
        """
        try:
            Path(path).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise BadValueError("calibration file", str(path), "a path that can be written", str(error)) from error


def calibration_path(pool: str) -> Path:
    """Where the calibration of a pool is: beside its file, or in the current folder for a pool that has none."""
    return Path(pool).with_suffix(".calibration.json")
