"""The one style of all plots, readable in grey: lightness, markers and dashes tell series apart, not hue alone."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec

from langchain_r2.errors import BadValueError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK: Final = "#1c2430"
MUTED: Final = "#5c6878"
LINE: Final = "#b9c1cb"
ACCENT: Final = "#a3168c"
"""What the plot is about: the router."""

RAMP: Final = ("#d8e9f5", "#a9d3ee", "#79b4de", "#4f97d0", "#2f7cc0", "#2763a6", "#223f86", "#1b2e66", "#121d45")
"""From light to dark, for what has an order, such as a pool's models."""


class Look(NamedTuple):
    """How a series is drawn."""

    color: str
    marker: str
    dashes: str


LOOKS: Final = (
    Look(INK, "o", "-"),
    Look("#2f7cc0", "s", "--"),
    Look("#7fb2da", "^", "-."),
    Look(MUTED, "D", ":"),
    Look("#c98500", "v", "--"),
    Look("#b0bac6", "P", "-."),
)
"""For series without an order; the lightness of each differs from its neighbours'."""

_SETTINGS: Any = {
    "font.size": 9.5,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "svg.hashsalt": "langchain-r2",  # the same data give the same file
}


def styled(draw: Callable[P, "Figure"]) -> Callable[P, "Figure"]:
    """Let a function draw in this style; without matplotlib it raises ``MissingExtraError``."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        try:
            mpl = import_module("matplotlib")
            import_module("matplotlib.figure")
        except ImportError as error:
            raise MissingExtraError("plots", "draw") from error
        with mpl.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return in_style


def panels(rows: int, columns: int, *, width: float, height: float) -> tuple["Figure", list["Axes"]]:
    """A figure with so many panels, row by row; ``width`` and ``height`` of each in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def save(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure as PNG and SVG; gives both paths.

    Args:
        figure: What to write.
        path: With either ending, or none: the other file stands beside it.

    Raises:
        BadValueError: Another ending, or a place that cannot be written.
    """
    import matplotlib as mpl

    if path.suffix not in {".png", ".svg", ""}:
        raise BadValueError("file of a plot", str(path), "a name that ends in .png or .svg", "Both are written.")
    paths = [path.with_suffix(".png"), path.with_suffix(".svg")]
    with mpl.rc_context(_SETTINGS):
        for target in paths:
            kind = target.suffix[1:]
            # Neither the date nor the program's version: they would change a file whose data did not.
            metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            try:
                figure.savefig(target, format=kind, dpi=144, metadata=metadata)
            except OSError as error:
                raise BadValueError("file of a plot", str(target), "a path that can be written", str(error)) from error
    return paths
