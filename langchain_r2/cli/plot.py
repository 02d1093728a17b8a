"""The commands that draw plots: ``langchain-r2 plot frontier | curves | calibration``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from langchain_r2.cli.shared import wrong_use

if TYPE_CHECKING:  # a command imports what it needs, so that `--help` is quick
    from matplotlib.figure import Figure

Out = Annotated[Path, typer.Option(help="Both FILE.png and FILE.svg are written.", metavar="FILE")]


def plot_commands() -> typer.Typer:
    """The commands."""
    about = "Draw plots, as PNG and SVG: cost against accuracy, learning curves, calibration."
    app = typer.Typer(no_args_is_help=True, help=about)
    for command in (frontier, curves, calibration):
        app.command()(wrong_use()(command))
    return app


def frontier(
    records: Annotated[
        Path, typer.Argument(help="Graded records: the records.jsonl of eval.", metavar="RECORDS.jsonl")
    ],
    *,
    out: Out = Path("frontier"),
    title: Annotated[str, typer.Option(help="Above the plot.")] = "",
) -> None:
    """Cost against accuracy per method, with the line that mixing methods by chance reaches."""
    from langchain_r2.plots import draw_frontier, points_of
    from langchain_r2.run_record import iter_records

    _write(draw_frontier(points_of(iter_records(records)), title), out)


def curves(
    metrics: Annotated[Path, typer.Argument(help="Metrics that training wrote.", metavar="METRICS.jsonl")],
    *,
    out: Out = Path("curves"),
    title: Annotated[str, typer.Option(help="Above the plots.")] = "",
) -> None:
    """Learning curves: reward, accuracy, cost, KL, groups without a signal, entropy, share of each model."""
    from langchain_r2.plots import draw_curves, read_metrics

    _write(draw_curves(read_metrics(metrics), title), out)


def calibration(
    file: Annotated[Path, typer.Argument(help="A calibration file, of calibrate.", metavar="FILE.json")],
    *,
    out: Out = Path("calibration"),
) -> None:
    """What models' confidence promises, against how often they are right."""
    from langchain_r2.calibrate.plot import draw_calibration
    from langchain_r2.confidence.file import CalibrationFile

    _write(draw_calibration(CalibrationFile.read(file)), out)


def _write(figure: "Figure", out: Path) -> None:
    from langchain_r2.plots import save

    for path in save(figure, out):
        Console().print(Text(str(path)), soft_wrap=True)
