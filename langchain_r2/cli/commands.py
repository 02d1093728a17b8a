"""The application that the command line runs: its options, and every command under its name."""

import io
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

from langchain_r2._version import __version__
from langchain_r2.cli.ask import ask, resume
from langchain_r2.cli.batch import batch
from langchain_r2.cli.calibrate import calibrate
from langchain_r2.cli.draw import draw
from langchain_r2.cli.evaluate import evaluate_command
from langchain_r2.cli.pages import trace
from langchain_r2.cli.plot import plot_commands
from langchain_r2.cli.pool import pool_commands
from langchain_r2.cli.replay import replay
from langchain_r2.cli.report import report
from langchain_r2.cli.serve import serve_embedded
from langchain_r2.cli.shared import wrong_use

app = typer.Typer(
    name="langchain-r2",
    no_args_is_help=True,
    add_completion=False,
    # A traceback of ours would show local variables, and with them keys.
    pretty_exceptions_enable=False,
    help="Split a query into subtasks, give each to the cheapest model that can do it.",
    epilog="Exit codes: 0 answered (also a best effort), 2 wrong use, 3 not answered, 130 interrupted.",
)


@app.callback()
def _options(
    *,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda on: _version(on=on))
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow encoding must not break what was paid for
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line."""
    app()


def _version(*, on: bool) -> None:
    if on:
        print(f"langchain-r2 {__version__}")
        raise typer.Exit


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "ask": ask,
    "resume": resume,
    "batch": batch,
    "draw": draw,
    "calibrate": calibrate,
    "eval": evaluate_command,
    "report": report,
    "replay": replay,
    "trace": trace,
    "serve-embedded": serve_embedded,
}
for _name, _command in _COMMANDS.items():
    app.command(name=_name)(wrong_use()(_command))
app.add_typer(pool_commands(), name="pool")
app.add_typer(plot_commands(), name="plot")
