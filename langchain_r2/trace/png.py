"""A picture as PNG, drawn by matplotlib: no browser, no web service."""

from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from langchain_r2.errors import MissingExtraError
from langchain_r2.trace.picture import Box, Line, Meaning, Picture
from langchain_r2.trace.svg import label_place

_COLOURS: Final[dict[Meaning, tuple[str, str]]] = {
    "plain": ("#ffffff", "#5c6878"),
    "upward": ("#fde7e7", "#c62828"),
    "downward": ("#e4f3e5", "#2e7d32"),
    "replan": ("#f4e5f7", "#8e24aa"),
}
_INK, _MUTED = "#1c2430", "#5c6878"
_DPI: Final = 144
_PT: Final = 72 / 96
"""Points in a pixel."""


def to_png(picture: Picture) -> bytes:
    """Draw a picture, at one and a half times its size in pixels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch
    except ImportError as error:
        raise MissingExtraError("drawing as PNG", "draw") from error
    figure = Figure(figsize=(picture.width / 96, picture.height / 96), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for frame in picture.frames:
        corner = "round,pad=0,rounding_size=10"
        look: dict[str, Any] = {"boxstyle": corner, "facecolor": "#f3f5f7", "edgecolor": "#c9ced6", "linewidth": 0.8}
        axes.add_patch(FancyBboxPatch((frame.x, frame.y), frame.width, frame.height, **look))
        axes.text(frame.x + 10, frame.y + 18, frame.label, fontsize=11 * _PT, color=_MUTED, fontweight="bold")
    for line in picture.lines:
        _line(axes, line)
    for box in picture.boxes:
        _box(axes, box)
    for line in picture.lines:
        if line.label:
            x, y = label_place(line)
            back = {"facecolor": "#f3f5f7", "edgecolor": "none", "pad": 1}
            axes.text(x, y - 4, line.label, ha="center", va="center", fontsize=11 * _PT, color=_MUTED, bbox=back)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _line(axes: Any, line: Line) -> None:  # noqa: ANN401 - matplotlib's
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    colour = _COLOURS[line.meaning][1]
    points, codes = [line.points[0]], [Path.MOVETO]
    for (a, b), (x, y) in pairwise(line.points):
        points += [(a, (b + y) / 2), (x, (b + y) / 2), (x, y)]
        codes += [Path.CURVE4] * 3
    dash = (0, (4, 3)) if line.conditional else "solid"
    axes.add_patch(PathPatch(Path(points, codes), facecolor="none", edgecolor=colour, linewidth=1.2, linestyle=dash))
    (x, y), tip = line.points[-1], -8 if line.points[-1][1] > line.points[-2][1] else 8
    axes.add_patch(Polygon([(x, y), (x - 4, y + tip), (x + 4, y + tip)], facecolor=colour, edgecolor="none"))


def _box(axes: Any, box: Box) -> None:  # noqa: ANN401 - matplotlib's
    from matplotlib.patches import Circle, FancyBboxPatch

    fill, stroke = _COLOURS[box.meaning]
    look: dict[str, Any] = {"facecolor": fill, "edgecolor": stroke, "linewidth": 1.1}
    if not box.label:
        axes.add_patch(Circle((box.x, box.y), box.width / 2, **look))
        return
    corner = (box.x - box.width / 2, box.y - box.height / 2)
    shape = "round,pad=0,rounding_size=7"
    axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=shape, **look))
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    axes.text(box.x, box.y - (6 if box.note else 0), box.label, fontsize=13 * _PT, color=_INK, **middle)
    if box.note:
        axes.text(box.x, box.y + 10, box.note, fontsize=11 * _PT, color=_MUTED, **middle)
