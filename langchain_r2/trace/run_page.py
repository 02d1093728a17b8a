"""The page of one run."""

import html
from pathlib import Path
from typing import Final

from langchain_r2.trace.data import run_data
from langchain_r2.trace.page import page
from langchain_r2.types import RunRecord

_HEIGHT_PX: Final = 900
"""Of the frame in a notebook."""


def to_html(record: RunRecord) -> str:
    """A run record as one HTML page that needs nothing else: no server, no network, no other file."""
    return page("run.js", f"{record['query']:.80} - run {record['id']}", run_data(record))


class RunPage:
    """A run's page as an object: a notebook that ends a cell with it shows the page inline."""

    def __init__(self, record: RunRecord) -> None:
        """Take the record of a run."""
        self.record = record

    def save(self, path: str | Path) -> Path:
        """Write the page into a file; gives its path."""
        target = Path(path)
        target.write_text(to_html(self.record), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        """The page in a frame that can reach nothing of the notebook."""
        inner = html.escape(to_html(self.record), quote=True)
        return (
            f'<iframe sandbox="allow-scripts" width="100%" height="{_HEIGHT_PX}" frameborder="0" '
            f'title="Run {html.escape(self.record["id"])}" srcdoc="{inner}"></iframe>'
        )
