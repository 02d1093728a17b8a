"""Learning curves from the metrics that training writes, one JSON object per line."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_r2.errors import BadValueError
from langchain_r2.plots.style import INK, LINE, MUTED, RAMP, panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

METRICS: Final = {
    "reward": "mean reward",
    "accuracy": "accuracy",
    "cost_usd": "USD per query",
    "kl": "KL divergence from the start",
    "zero_variance_share": "groups without a signal, share",
    "entropy": "entropy, nats per token",
}
SHARES: Final = "model_shares"
_MANY: Final = 60
"""From so many points on, a line of means is drawn over them."""
_COLUMNS: Final = 3


def read_metrics(path: Path) -> list[Row]:
    """The rows of a file of metrics; a last line that is cut, because training goes on, is left out.

    Raises:
        BadValueError: The file cannot be read, or a line is no metrics.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadValueError("file of metrics", str(path), "a JSONL file", str(error)) from error
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
            if number == len(lines):
                continue
        if not isinstance(row, dict) or _number(row.get("step")) is None:
            allowed = f'an object with "step" and any of {", ".join((*METRICS, SHARES))}'
            raise BadValueError(f"line {number} of {path}", line[:80], allowed)
        rows.append(row)
    return rows


@styled
def draw_curves(rows: Sequence[Row], title: str = "") -> "Figure":
    """Draw a panel for every metric that the rows have; dotted lines are where a stage begins.

    Raises:
        BadValueError: The rows have no metric.
        MissingExtraError: matplotlib is not installed.
    """
    found = [name for name in METRICS if any(_number(row.get(name)) is not None for row in rows)]
    shares = any(isinstance(row.get(SHARES), Mapping) for row in rows)
    count = len(found) + shares
    if not count:
        raise BadValueError("metrics", "none", f"rows with any of {', '.join((*METRICS, SHARES))}")
    columns = min(_COLUMNS, count)
    figure, axes = panels(-(-count // columns), columns, width=3.9, height=2.9)
    steps = steps_of(rows)
    for name, panel in zip(found, axes, strict=False):
        _draw_metric(panel, steps, [_number(row.get(name)) for row in rows])
        panel.set_title(METRICS[name])
    if shares:
        _draw_shares(axes[len(found)], steps, rows)
    for panel in axes[:count]:
        _draw_stages(panel, steps, rows, named=panel is axes[0])
        panel.set_xlabel("step")
    for panel in axes[count:]:
        panel.set_axis_off()
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def steps_of(rows: Sequence[Row]) -> list[float]:
    """Steps that only go up: a stage that counts from its own beginning goes on where the one before ended."""
    steps: list[float] = []
    offset = 0.0
    for before, row in zip([None, *rows], rows, strict=False):
        step = float(row["step"])
        if before is not None and before.get("stage") != row.get("stage") and step <= float(before["step"]):
            offset = steps[-1]
        steps.append(offset + step)
    return steps


def _number(value: object) -> float | None:
    """A finite number, else None: what is not measured at a step is no 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _draw_metric(axes: "Axes", steps: Sequence[float], values: Sequence[float | None]) -> None:
    known = [(x, y) for x, y in zip(steps, values, strict=True) if y is not None]
    x, y = zip(*known, strict=True)
    if len(known) < _MANY:
        axes.plot(x, y, color=INK, marker="o", markersize=3)
        return
    axes.plot(x, y, color=LINE, linewidth=0.8)
    axes.plot(x, list(_means(y, len(y) // 20)), color=INK)


def _means(values: Sequence[float], width: int) -> Iterator[float]:
    """Means of so many values before each and as many after."""
    for i in range(len(values)):
        reach = min(width, i, len(values) - 1 - i)  # the same to both sides, or the ends would bend
        near = values[i - reach : i + reach + 1]
        yield sum(near) / len(near)


def _draw_shares(axes: "Axes", steps: Sequence[float], rows: Sequence[Row]) -> None:
    """Shares of the pool's models, stacked: the first is the lightest."""
    kept = [(x, row[SHARES]) for x, row in zip(steps, rows, strict=True) if isinstance(row.get(SHARES), Mapping)]
    names = list(dict.fromkeys(name for _, shares in kept for name in shares))
    colors = [RAMP[round(i * (len(RAMP) - 1) / max(1, len(names) - 1))] for i in range(len(names))]
    layers = [[_number(shares.get(name)) or 0.0 for _, shares in kept] for name in names]
    axes.stackplot([x for x, _ in kept], layers, colors=colors, labels=names, edgecolor="white", linewidth=0.4)
    axes.set_title("share of each model")
    axes.set_ylim(0, 1)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def _draw_stages(axes: "Axes", steps: Sequence[float], rows: Sequence[Row], *, named: bool) -> None:
    for before, row, step in zip(rows, rows[1:], steps[1:], strict=False):
        if before.get("stage") != row.get("stage"):
            axes.axvline(step, color=MUTED, linestyle=":", linewidth=1)
            if named:
                place = axes.get_xaxis_transform()
                axes.text(step, 0.01, f" {row.get('stage')}", transform=place, fontsize=7, color=MUTED)
