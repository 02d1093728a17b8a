"""The command that makes one report of several evaluations."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langchain_r2.cli.view import note


def report(
    folder: Annotated[Path, typer.Argument(help="What `eval` wrote, or a folder with several of it.")] = Path(
        "eval-results"
    ),
) -> None:
    """Make the report of evaluations from their records anew; of several, one with an overview."""
    from langchain_r2.eval_page import write_pages
    from langchain_r2.evals.report import show
    from langchain_r2.evals.several import evaluations_in, overview

    page = write_pages(folder)
    show("", overview(evaluations_in(folder)), Console())
    note(f"report: {page}")
