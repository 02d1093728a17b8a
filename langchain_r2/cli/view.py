"""What the command line shows of a run, for terminals and for plain text."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from langchain_r2.ledger import bill, usd
from langchain_r2.run_record import answered
from langchain_r2.types import Attempt, Direction, RunRecord, Subtask, SubtaskResult

_ARROWS: Final[Mapping[Direction, tuple[str, str, str]]] = {
    "initial": ("", "", ""),
    "upward": ("↑ ", "^ ", "red"),
    "downward": ("↓ ", "v ", "green"),
    "replan": ("⇄ ", "<> ", "magenta"),
}
"""Per direction: the sign, the sign where only ASCII can be shown, the style."""


def show_run(console: Console, state: Mapping[str, Any]) -> None:
    """Print a run: its plan, what was tried, the answer, the bill.

    Args:
        console: Where to.
        state: What the router graph returned.
    """
    console.print(_plan(console, state["plan"]["subtasks"], state["results"]))
    console.print(_tries(console, state["results"]))
    if state["status"] != "ok":
        line = f"{state['status']}: {state['error']}"
        console.print(clean(line), style="yellow", markup=False, highlight=False, soft_wrap=True)
    if state["answer"] is None:
        console.print(Text("No answer", style="bold"))
    else:
        label = "Best effort, not accepted: " if state["status"] == "best_effort" else "Answer: "
        console.print(Text.assemble((label, "bold"), clean(state["answer"])), soft_wrap=True)
    console.print()
    console.print(_bill(state["attempts"]))


def clean(text: str) -> str:
    """A text without what steers a terminal: models wrote it."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} else f"\\x{ord(c):02x}" for c in text
    )


def note(text: str, style: str = "") -> None:
    """One line on stderr: stdout is for results."""
    Console(stderr=True).print(clean(text), style=style, markup=False, highlight=False, soft_wrap=True)


class BatchView:
    """A progress bar with what was spent so far; nothing where there is no terminal."""

    def __init__(self, console: Console, *, total: int, done: Iterable[RunRecord]) -> None:
        """Start with the records that were there before."""
        self.total, self.count, self.answered, self.unsure = total, 0, 0, 0
        self.cost_usd, self.unknown = 0.0, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[spent]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("queries", total=total, spent="")
        for record in done:
            self.add(record)

    def __enter__(self) -> "BatchView":
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def add(self, record: RunRecord) -> None:
        """Count a record."""
        self.count += 1
        self.answered += answered(record)
        self.unsure += record["status"] == "best_effort"
        self.unknown += record["cost_usd"] is None
        self.cost_usd += record["cost_usd"] or 0.0
        self._progress.update(self._task, completed=self.count, spent=self.spent)

    @property
    def spent(self) -> str:
        """What all records cost."""
        more = f" and {self.unknown} unknown" if self.unknown else ""
        return f"{usd(self.cost_usd)} USD{more}"

    @property
    def summary(self) -> str:
        """How the batch stands, in one line."""
        unsure = f" ({self.unsure} best effort)" if self.unsure else ""
        return f"{self.count} of {self.total} queries done, {self.answered} answered{unsure}, cost: {self.spent}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        number = column in {"confidence", "calls", "tokens in", "tokens out", "USD", "share"}
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return table


def _arrow(console: Console, direction: Direction) -> tuple[str, str]:
    sign, ascii_sign, style = _ARROWS[direction]
    return (ascii_sign if console.options.ascii_only else sign), style


def _plan(console: Console, subtasks: Iterable[Subtask], results: Iterable[SubtaskResult]) -> Table:
    table = _table("Plan", "id", "subtask", "needs")
    parts = {result["id"]: result["parts"] for result in results}
    for subtask in subtasks:
        table.add_row(*map(Text, (subtask["id"], clean(subtask["text"]), ", ".join(subtask["depends_on"]))))
        for part in parts.get(subtask["id"], ()):  # what was run in its place
            name = Text.assemble(_arrow(console, "replan"), f"{subtask['id']}.{part['id']}")
            table.add_row(name, Text(clean(part["text"])), Text(", ".join(part["depends_on"])))
    return table


def _tries(console: Console, results: Iterable[SubtaskResult]) -> Table:
    table = _table("Tries", "id", "model", "reason", "confidence", "answer")
    for result in results:
        for row in result["attempts"]:
            if row["role"] in {"executor", "tool"}:
                table.add_row(*_try(console, row))
        verdict = result["verdict"]
        word, style = ("accepted", "green") if verdict["accepted"] else ("not accepted", "yellow")
        outcome = Text.assemble((f"{word}: {verdict['reason']}", style))
        table.add_row(Text(result["id"]), Text(""), outcome, Text(""), Text(clean(result["answer"])), end_section=True)
    return table


def _try(console: Console, row: Attempt) -> tuple[Text, ...]:
    sign, style = _arrow(console, row["direction"])
    confidence = "" if row["confidence"] is None else f"{row['confidence']:.3f}"
    answer = (row["error_type"], "red") if row["error_type"] else (clean(_said(row)), "")
    cells = ((row["subtask_id"] or "", ""), (sign + row["model"], style), (row["reason"], ""), (confidence, ""), answer)
    return tuple(Text(clean(text), style=look) for text, look in cells)


def _said(row: Attempt) -> str:
    """A row's answer; of a model that called tools, and of a tool, the calls."""
    calls = "; ".join(f"{use['name']}({json.dumps(use['args'], ensure_ascii=False)})" for use in row.get("calls", []))
    return " = ".join(part for part in (calls, row["answer"]) if part)


def _bill(attempts: list[Attempt]) -> Table:
    table = _table("Bill", "for", "calls", "tokens in", "tokens out", "USD", "share")
    total = bill(attempts)
    _bill_rows(table, attempts, total.cost_usd, lambda row: row["role"])
    _bill_rows(table, attempts, total.cost_usd, lambda row: row["model"])
    counts = (total.calls, total.input_tokens, total.output_tokens)
    table.add_row("total", *map(str, counts), usd(total.cost_usd), "", style="bold")
    share = total.router_share
    if share is not None:
        table.add_row("of it the router", "", "", "", "", f"{share:.1%}")
    return table


def _bill_rows(table: Table, attempts: list[Attempt], cost_usd: float | None, key: Callable[[Attempt], str]) -> None:
    """A row for every value of a key, then a line."""
    for name in dict.fromkeys(map(key, attempts)):
        part = bill(row for row in attempts if key(row) == name)
        share = f"{part.cost_usd / cost_usd:.1%}" if part.cost_usd is not None and cost_usd else ""
        counts = (part.calls, part.input_tokens, part.output_tokens)
        table.add_row(Text(clean(name)), *map(str, counts), usd(part.cost_usd), share)
    table.add_section()
