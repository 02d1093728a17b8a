"""The commands about pool files: ``langchain-r2 pool check | new | template``."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langchain_r2.cli.shared import wrong_use

if TYPE_CHECKING:
    from langchain_r2.pool_check import ModelCheck

_COLUMNS: Final = {
    "reachable": "there",
    "logprobs": "logprobs",
    "usage": "usage",
    "structured_output": "JSON",
    "tools": "tools",
    "price_known": "price",
}
"""What the table shows of a row, in the row's order."""


def pool_commands() -> typer.Typer:
    """The commands."""
    app = typer.Typer(no_args_is_help=True, help="Write and check pool files.")
    for command in (check, new, template):
        app.command()(wrong_use()(command))
    return app


def check(
    pool: Annotated[str, typer.Argument(help='A pool file, "embedded" or "paper".', metavar="FILE")],
    *,
    deadline_s: Annotated[float, typer.Option(min=0.1, help="Seconds that one call may take.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Really call every model of a pool, briefly: is it there, what does it give, is its price known?

    Exit codes: 0 every model does what its entry says, 2 wrong use, 3 some model does not.
    """
    from langchain_r2.ledger import add_costs
    from langchain_r2.pool_check import check_pool
    from langchain_r2.pool_file import resolve_pool

    models = resolve_pool(pool)
    rows = asyncio.run(check_pool(models, deadline_s=deadline_s))
    cost_usd: float | None = 0.0
    for row in rows:
        cost_usd = add_costs(cost_usd, row["cost_usd"])
    ok = all(row["ok"] for row in rows)
    if as_json:
        typer.echo(json.dumps({"pool": models.name, "ok": ok, "cost_usd": cost_usd, "models": rows}))
    else:
        _show(Console(), rows, cost_usd)
    raise typer.Exit(0 if ok else 3)


def new(
    file: Annotated[Path, typer.Argument(help="Where to write the pool file; it must not exist.", metavar="FILE")],
) -> None:
    """Write a pool file by asking. It never asks for a key, only for the name of the variable that holds it."""
    from langchain_r2.cli.pool_new import ask_pool, write_pool
    from langchain_r2.cli.view import note

    if file.exists() or not file.parent.is_dir():
        from langchain_r2.errors import BadValueError

        raise BadValueError("file", str(file), "a file that does not exist, in a folder that does")
    try:
        text = ask_pool(file.stem)
    except typer.Abort as aborted:
        note("Nothing was written: the input ended, or was interrupted, before all was answered.", "red")
        raise typer.Exit(1) from aborted
    pool = write_pool(file, text)
    typer.echo(f"{file}: {', '.join(pool.names)}. Now try: langchain-r2 pool check {file}")


def template() -> None:
    """Print a pool file with a comment at every key, to fill in."""
    from langchain_r2.pool_file import POOLS

    typer.echo((POOLS / "template.toml").read_text(encoding="utf-8"), nl=False)


def _show(console: Console, rows: "Iterable[ModelCheck]", cost_usd: float | None) -> None:
    from langchain_r2.cli.view import clean
    from langchain_r2.ledger import usd

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for name in (*_COLUMNS.values(), "USD"):
        table.add_column(name, no_wrap=True)
    verdicts = []
    for row in rows:
        marks = [_mark(value) for key, value in row.items() if key in _COLUMNS]
        table.add_row(Text(clean(row["model"])), *marks, usd(row["cost_usd"]))
        verdicts.append(Text.assemble((clean(row["model"]), "bold"), ": ", (clean(row["verdict"]), _style(row["ok"]))))
    console.print(table)
    for line in verdicts:
        console.print(line, soft_wrap=True)
    console.print(f"The check cost {usd(cost_usd)} USD.")


def _mark(value: object) -> Text:
    word = "-" if value is None else "yes" if value else "no"
    return Text(word, style="" if value is None else _style(bool(value)))


def _style(good: bool) -> str:
    return "green" if good else "yellow"
