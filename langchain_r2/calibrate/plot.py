"""The reliability plot: what models' confidence promises, against how often they are right."""

from pathlib import Path
from typing import Final

from langchain_r2.confidence.calibration import Calibration
from langchain_r2.confidence.evaluation import held_out_probabilities
from langchain_r2.confidence.file import CalibrationFile, Measured
from langchain_r2.errors import BadValueError, MissingExtraError

BINS: Final = 10
_COLUMNS: Final = 3


def bins_of(probabilities: list[float], right: list[bool]) -> list[tuple[float, float, int]]:
    """Per bin that has items: mean confidence, share of right ones, number."""
    cells: dict[int, list[tuple[float, bool]]] = {}
    for p, r in zip(probabilities, right, strict=True):
        cells.setdefault(min(BINS - 1, int(p * BINS)), []).append((p, r))
    return [
        (sum(p for p, _ in cell) / len(cell), sum(r for _, r in cell) / len(cell), len(cell))
        for _, cell in sorted(cells.items())
    ]


def plot(file: CalibrationFile, path: Path) -> None:
    """Draw one panel per model, from held-out probabilities, as a PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
        BadValueError: The picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the reliability plot", "evals") from error
    rows = -(-len(file.models) // _COLUMNS)
    figure = Figure(figsize=(3.4 * _COLUMNS, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat[len(file.models) :]:
        axes.set_axis_off()
    for (name, row), axes in zip(file.models.items(), panels.flat, strict=False):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="confidence (held out)", ylabel="share right")
        axes.set_title(f"{name}\n{_caption(row.calibration)}", fontsize=9)
        points = _points(row, file.settings.seed)
        if points:
            x, y, sizes = zip(*points, strict=True)
            axes.plot(x, y, color="C0", linewidth=1)
            axes.scatter(x, y, s=[12 + 240 * n / len(row.right) for n in sizes], color="C0", alpha=0.8)
    figure.suptitle(f"{file.settings.items} items, {file.settings.source}, {file.date}; points sized by items")
    try:
        figure.savefig(path, format="png", dpi=110)
    except OSError as error:
        raise BadValueError("picture", str(path), "a path that can be written", str(error)) from error


def _points(row: Measured, seed: int) -> list[tuple[float, float, int]]:
    if row.calibration.auroc_interval is None:
        return []
    pairs = [(s, r) for s, r in zip(row.signals, row.right, strict=True) if s is not None]
    labels = [r for _, r in pairs]
    return bins_of(held_out_probabilities([s for s, _ in pairs], labels, seed=seed), labels)


def _caption(calibration: Calibration) -> str:
    if calibration.auroc is None or calibration.ece is None:
        return f"{calibration.signal}: too few right or wrong answers"
    weak = ", too weak" if calibration.weak else ""
    return f"{calibration.signal}: AUROC {calibration.auroc:.2f}, ECE {calibration.ece:.3f}{weak}"
