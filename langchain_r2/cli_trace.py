"""Runs and the graph to be looked at: ``langchain-r2 trace``, the file of ``ask --trace``, what ``draw`` needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from langchain_r2.errors import BadValueError
from langchain_r2.types import RunRecord

if TYPE_CHECKING:  # a command imports what it needs, so that `--help` is quick
    from langchain_core.callbacks import BaseCallbackHandler


def trace(
    records: Annotated[
        Path, typer.Argument(help="Run records, a line each: of ask --record, batch or eval.", metavar="RECORDS.jsonl")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the pages; index.html in it links to all.", metavar="DIR")],
) -> None:
    """Make a page for every run of a file, and one that compares them."""
    from langchain_r2.run_record import iter_records
    from langchain_r2.trace import write_pages

    if next(iter_records(records), None) is None:
        raise BadValueError("file of run records", str(records), "a file with at least one run record in it")
    try:
        index = write_pages(iter_records(records), out, records.name)
    except OSError as error:
        raise BadValueError("folder for pages", str(out), "a folder that can be written", str(error)) from error
    Console().print(Text(str(index)), soft_wrap=True)


class PageFile:
    """The file of a run's page. It is opened before anything is paid, so that one that cannot be costs nothing."""

    def __init__(self, path: Path) -> None:
        """Take a path.

        Raises:
            BadValueError: No file can be written there.
        """
        from langchain_r2.trace import PromptKeeper

        try:
            path.open("a").close()
        except (OSError, ValueError) as error:
            raise BadValueError("file for the trace", str(path), "a file that can be written", str(error)) from error
        self._path, self._prompts = path, PromptKeeper()

    @property
    def callbacks(self) -> "list[BaseCallbackHandler]":
        """For the run's config: they keep its prompts."""
        return [self._prompts]

    def write(self, record: RunRecord) -> None:
        """Write the page of the run."""
        from langchain_r2.trace import RunPage

        RunPage(self._prompts.add_to(record)).save(self._path)


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
