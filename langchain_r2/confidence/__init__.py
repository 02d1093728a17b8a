"""How sure a reply is to be right: a signal, calibrated to a probability.

Which signal tells right from wrong differs by task and by model, so it is a setting. Where a model gives token
probabilities they are the signal; where it gives none, further samples of its answer or a verifying model are.
"""

from langchain_r2.confidence.base import Confidence, Reading
from langchain_r2.confidence.calibration import Calibration, auroc, expected_calibration_error, fit
from langchain_r2.confidence.signals import SIGNALS, Signal, minimum, quantile, sequence

__all__ = [
    "SIGNALS",
    "Calibration",
    "Confidence",
    "Reading",
    "Signal",
    "auroc",
    "expected_calibration_error",
    "fit",
    "minimum",
    "quantile",
    "sequence",
]
