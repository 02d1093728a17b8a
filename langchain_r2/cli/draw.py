"""The command that draws the graph: ``langchain-r2 draw``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from langchain_r2.cli import shared
from langchain_r2.cli.shared import PoolOption
from langchain_r2.errors import BadValueError
from langchain_r2.types import RunRecord


def draw(
    *,
    form: Annotated[
        Literal["mermaid", "ascii", "svg", "png"] | None,
        typer.Option("--format", help="How to draw.", show_default="by the file's name, else mermaid"),
    ] = None,
    pool: PoolOption = "embedded",
    out: Annotated[Path | None, typer.Option(help="Draw into this file.", metavar="FILE")] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Lay a run over it: how often each node ran, at what cost.", metavar="FILE.jsonl"),
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="Which run of that file; the last one by default.")] = None,
    xray: Annotated[bool, typer.Option(help="Show what is inside execute_plan.")] = True,
) -> None:
    """Draw the router graph: no browser, no web service."""
    from langchain_r2.trace import draw_graph

    form = form_for(form, out)
    record = record_of(run, run_id) if run else None
    drawn = draw_graph(shared.build_graph(pool, check=False).get_graph(xray=xray), form, record)
    write_drawing(drawn, out)


def form_for(form: str | None, out: Path | None) -> Literal["mermaid", "ascii", "svg", "png"]:
    """How to draw: as asked, else as the file is named.

    Raises:
        BadValueError: A picture of bytes would go to the terminal.
    """
    named: dict[str, Literal["mermaid", "ascii", "svg", "png"]] = {
        ".svg": "svg", ".png": "png", ".txt": "ascii",
        "svg": "svg", "png": "png", "ascii": "ascii", "mermaid": "mermaid",
    }  # fmt: skip
    chosen = named[form] if form else named.get(out.suffix.lower() if out else "", "mermaid")
    if chosen == "png" and out is None:
        raise BadValueError("format", "png", "another format without a file", "Give --out FILE.png.")
    return chosen


def record_of(path: Path, id_: str | None) -> RunRecord:
    """A record of a file: that with an id, else the last.

    Raises:
        BadValueError: There is none.
    """
    from langchain_r2.run_record import iter_records

    found = None
    for record in iter_records(path):
        if id_ is None or record["id"] == id_:
            found = record
    if found is None:
        raise BadValueError("run", id_ or str(path), f"the id of a record in {path}" if id_ else "a file with a record")
    return found


def write_drawing(drawn: str | bytes, out: Path | None) -> None:
    """Print a drawing, or write it into a file.

    Raises:
        BadValueError: The file cannot be written.
    """
    if out is None:
        typer.echo(drawn, nl=False)
        return
    try:
        out.write_bytes(drawn.encode() if isinstance(drawn, str) else drawn)
    except OSError as error:
        raise BadValueError("file for the drawing", str(out), "a file that can be written", str(error)) from error
