"""Confidence in a reply: which signal is read, what its calibration makes of it, what is enough."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, get_args

from langchain_r2.confidence.calibration import Calibration
from langchain_r2.confidence.file import CalibrationFile
from langchain_r2.confidence.signals import ENTROPY_ALTERNATIVES, FIRST_TOKEN_ENTROPY, SIGNALS, Asked, token_signal
from langchain_r2.errors import BadValueError
from langchain_r2.pool import ModelPool
from langchain_r2.transport import Reply

ALL_SIGNALS: Final = (*SIGNALS, FIRST_TOKEN_ENTROPY, *get_args(Asked))


class Reading(NamedTuple):
    """What a signal says about one reply."""

    signal: str
    value: float
    """A log-probability for token signals, a share from 0 to 1 for those that are asked for."""
    probability: float
    """What the value says by itself, uncalibrated."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Confidence in a reply.

    Without a calibration for a model the signal's own probability is used, which is usually too high or too low.
    Where a model shows no token probabilities, ``samples`` or ``verifier`` say what takes their place; with neither
    there is no signal. An answer without a signal is accepted, unless the model is known to be wrong more often.
    """

    signal: str = "sequence"
    """Name in :data:`ALL_SIGNALS`; ``agreement`` and ``verifier`` are then asked of every model."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """Per model name."""
    kinds: Mapping[str, Mapping[str, Calibration]] = field(default_factory=dict)
    """Per model name and kind of subtask; they go before ``calibrations``."""
    threshold: float = 0.5
    """Least confidence that is accepted, where a calibration has none of its own."""
    samples: int = 0
    """Self-consistency: how many more answers of the model are drawn to see whether they agree."""
    temperature: float = 0.7
    """Of those samples."""
    verifier: str | None = None
    """Pool model that is asked whether an answer is right."""

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.signal not in ALL_SIGNALS:
            raise BadValueError("signal", self.signal, ALL_SIGNALS)
        if not 0 <= self.threshold <= 1:
            raise BadValueError("threshold", self.threshold, "a number from 0 to 1")
        count: object = self.samples
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 100:
            raise BadValueError("samples", count, "a whole number from 0 to 100")
        if not 0 < self.temperature <= 2:
            raise BadValueError("temperature", self.temperature, "a number above 0, at most 2")
        if self.samples and self.verifier:
            raise BadValueError("verifier", self.verifier, "None beside samples", "Choose one of the two.")
        if self.signal in get_args(Asked) and self.signal != self.asks:
            needs = "samples of 1 or more" if self.signal == "agreement" else "the name of a verifier"
            raise BadValueError("signal", self.signal, f"it together with {needs}")

    @classmethod
    def from_file(cls, path: str | Path, *, threshold: float = 0.5) -> "Confidence":
        """The confidence that ``langchain-r2 calibrate`` has written: its signal, calibrations and thresholds.

        Args:
            path: The file.
            threshold: For models that are not in it.

        Raises:
            BadValueError: The file cannot be read, or is no calibration file.
        """
        file = CalibrationFile.read(path)
        return cls(
            signal=file.settings.signal,
            calibrations={name: row.calibration for name, row in file.models.items()},
            kinds={name: row.kinds for name, row in file.models.items()},
            threshold=threshold,
            samples=file.settings.samples,
            temperature=file.settings.temperature,
            verifier=file.settings.verifier,
        )

    @property
    def asks(self) -> Asked | None:
        """What is asked for where the reply itself shows no signal."""
        return "verifier" if self.verifier else "agreement" if self.samples else None

    @property
    def top_logprobs(self) -> int:
        """How many alternatives per token a call has to ask for."""
        return ENTROPY_ALTERNATIVES if self.signal == FIRST_TOKEN_ENTROPY else 0

    def check(self, pool: ModelPool) -> None:
        """Check that the pool has the verifier, and that it can be spoken to.

        Raises:
            UnknownModelError: The pool has no such model.
            BadValueError: It was fine-tuned on other steps and reads no instructions.
        """
        if self.verifier and pool[self.verifier].prompt_style != "instruct":
            style = pool[self.verifier].prompt_style
            name = f"prompt_style of verifier {self.verifier!r}"
            raise BadValueError(name, style, "instruct", "Use samples instead.")

    def of_tokens(self, reply: Reply) -> Reading | None:
        """What the reply's own token probabilities say; None where it shows none."""
        value = token_signal(self.signal, reply)
        return None if value is None else Reading(self.signal, value, math.exp(min(0.0, value)))

    def calibration(self, model: str, kind: str | None = None, signal: str | None = None) -> Calibration | None:
        """The calibration for a model on a kind of subtask; None where there is none, or it is for another signal."""
        found = self.kinds.get(model, {}).get(kind or "") or self.calibrations.get(model)
        return found if found and (signal is None or found.signal in {None, signal}) else None

    def probability(self, reading: Reading | None, model: str, kind: str | None = None) -> float | None:
        """Probability that the reply is right; None where there is no signal, or one too weak to route on."""
        if reading is None:
            return None
        calibration = self.calibration(model, kind, reading.signal)
        if calibration and calibration.weak:
            return None
        if not math.isfinite(reading.value):
            return 0.0  # no probability at all is no confidence
        return calibration(reading.value) if calibration else reading.probability

    def threshold_for(self, model: str, kind: str | None = None, signal: str | None = None) -> float:
        """Least confidence that is accepted of a model on a kind of subtask, by that signal."""
        own = self.calibration(model, kind, signal)
        return self.threshold if own is None or own.threshold is None else own.threshold

    def trusts(self, model: str, kind: str | None = None) -> bool:
        """Whether an answer without a signal is accepted: not where the model is known to be wrong more often."""
        own = self.calibration(model, kind)
        return own is None or own.accuracy is None or own.accuracy >= 0.5

    def __call__(self, reply: Reply, model: str, kind: str | None = None) -> float | None:
        """Probability that the reply is right, from its token probabilities; None where they say nothing."""
        return self.probability(self.of_tokens(reply), model, kind)
