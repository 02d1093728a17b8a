"""Runs and the graph to be looked at: ``langchain-r2 trace``, the file of ``ask --trace``, what ``draw`` needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
