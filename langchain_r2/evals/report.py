"""The report of an evaluation, computed from its records: a table on the console, all of them in ``table.md``."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from langchain_r2.evals.frontier_sheets import sheets_of_cost
from langchain_r2.evals.rows import read
from langchain_r2.evals.sheets import (
    Sheet,
    contingency_sheet,
    effort_sheet,
    method_sheet,
    title_of,
    tuning_sheet,
    use_sheet,
)

MARKDOWN: Final = "table.md"


def report(folder: Path) -> tuple[str, list[Sheet]]:
    """Title and tables of an evaluation; the first one is what most want to know."""
    facts, methods = read(folder)
    if not methods:
        return title_of(facts), []
    made = [
        method_sheet(facts, methods),
        effort_sheet(facts, methods),
        *sheets_of_cost(facts, methods),
        contingency_sheet(facts, methods),
        use_sheet(methods),
        tuning_sheet(facts),
    ]
    return title_of(facts), [sheet for sheet in made if sheet is not None and sheet.rows]


def render(folder: Path, console: Console) -> None:
    """Print the main table; write all as Markdown."""
    title, sheets = report(folder)
    (folder / MARKDOWN).write_text(markdown(title, sheets), encoding="utf-8")
    if sheets:
        show(title, sheets[0], console)


def show(title: str, main: Sheet, console: Console) -> None:
    """Print a table, and what is said below it."""
    table = Table(title=title or main.title)
    for column in main.columns:
        table.add_column(column, justify="left" if column in {"method", "evaluation"} else "right")
    for row in main.rows:
        table.add_row(*row)
    console.print(table)
    for line in main.notes:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def markdown(title: str, sheets: list[Sheet]) -> str:
    """The whole report."""
    parts = [title]
    for number, sheet in enumerate(sheets):
        if number:
            parts.append(f"## {sheet.title}")
        ruler = ["---" if place == 0 else "---:" for place in range(len(sheet.columns))]
        lines = [sheet.columns, ruler, *sheet.rows]
        parts.append("\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))
        if sheet.notes:
            parts.append("\n".join(f"- {note}" for note in sheet.notes))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
