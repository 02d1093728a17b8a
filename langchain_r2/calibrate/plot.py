"""The reliability plot: what models' confidence promises, against how often they are right."""

from typing import TYPE_CHECKING, Final

from langchain_r2.confidence.calibration import Calibration
from langchain_r2.confidence.evaluation import held_out_probabilities
from langchain_r2.confidence.file import CalibrationFile, Measured
from langchain_r2.plots.style import LOOKS, MUTED, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


@styled
def draw_calibration(file: CalibrationFile) -> "Figure":
    """Draw one panel per model, from held-out probabilities.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    columns = min(_COLUMNS, len(file.models))
    figure, axes = panels(-(-len(file.models) // columns), columns, width=3.3, height=3.3)
    for panel in axes[len(file.models) :]:
        panel.set_axis_off()
    for (name, row), panel in zip(file.models.items(), axes, strict=False):
        panel.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        panel.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="confidence (held out)", ylabel="share right")
        panel.set_title(name, pad=18)
        # Above the panel, where no line runs through it.
        panel.text(0, 1.02, _caption(row.calibration), transform=panel.transAxes, fontsize=7.5, va="bottom")
        points = _points(row, file.settings.seed)
        if points:
            x, y, sizes = zip(*points, strict=True)
            panel.plot(x, y, color=LOOKS[1].color, linewidth=1)
            area = [12 + 240 * n / len(row.right) for n in sizes]
            panel.scatter(x, y, s=area, color=LOOKS[1].color, edgecolor="white", linewidth=0.8, zorder=3, clip_on=False)
    title = f"{file.settings.items} items, {file.settings.source}, {file.date}; points sized by items"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


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
