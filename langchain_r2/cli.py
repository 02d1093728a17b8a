"""The command line: ``langchain-r2 ask | batch | draw | eval | calibrate | pool | serve-embedded``.

Exit codes: 0 every query was answered, 2 wrong use (nothing was run), 3 some query was not answered, 130 interrupted.
"""

import asyncio
import contextlib
import io
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from langchain_r2._version import __version__
from langchain_r2.cli_calibrate import calibrate
from langchain_r2.cli_eval import evaluate_command
from langchain_r2.cli_pool import pool_commands
from langchain_r2.cli_serve import serve_embedded
from langchain_r2.errors import BadValueError, ConfigurationError, MissingExtraError

app = typer.Typer(
    name="langchain-r2",
    no_args_is_help=True,
    add_completion=False,
    # A traceback of ours would show local variables, and with them keys.
    pretty_exceptions_enable=False,
    help="Split a query into subtasks, give each to the cheapest model that can do it.",
    epilog="Exit codes: 0 answered, 2 wrong use, 3 not answered, 130 interrupted.",
)

PoolOption = Annotated[
    str, typer.Option("--pool", help='"embedded", "paper", or a pool file (TOML).', metavar="embedded|paper|FILE")
]
BudgetOption = Annotated[
    float | None, typer.Option("--budget-usd", help="Most that one query may cost, in USD. A hard limit.")
]


def build_graph(pool: str, *, check: bool = True, budget: Any = None) -> Any:  # noqa: ANN401 - their imports are slow
    """Make the router graph for a pool; for a pool file with the calibration that lies beside it, if any.

    Args:
        pool: ``embedded`` or the path of a pool file.
        check: Whether every model of a file must be buildable, so that a missing key or package shows before any call.
        budget: The ``Budget`` that all its runs share, if any.

    Raises:
        ConfigurationError: The pool cannot be loaded, or one of its models cannot be built.
    """
    from langchain_r2.calibrate.named import named_router
    from langchain_r2.graph import create_r2_graph

    router = named_router(pool, check=check, note=_note)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The allocator's thresholds")  # the note says it
        return create_r2_graph(**router, budget=budget)


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


@app.command()
def ask(
    query: Annotated[str, typer.Argument(help="What to answer.")],
    *,
    pool: PoolOption = "embedded",
    budget_usd: BudgetOption = None,
    max_attempts: Annotated[int, typer.Option(help="Most tries of one subtask, over all models.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON run record and nothing else.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Append the run record to this file.", metavar="FILE.jsonl")
    ] = None,
) -> None:
    """Answer one query, and show how and at what cost."""
    from langchain_r2.config import R2Context
    from langchain_r2.run_record import answered, append_record, failed_record, open_records, run_record, to_json

    with contextlib.ExitStack() as stack:
        stack.enter_context(_wrong_use())
        if not query.strip():
            raise BadValueError("query", query, "a text that is not empty")
        limits = R2Context(budget_usd=budget_usd, max_attempts=max_attempts)
        graph = build_graph(pool)
        file = stack.enter_context(open_records(record)) if record else None
        started, state, id_ = time.perf_counter(), None, uuid.uuid4().hex
        try:
            state = graph.invoke({"query": query}, context=limits)
            row = run_record(state, id=id_, wall_s=time.perf_counter() - started)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - what failed is a record too
            row = failed_record(query, error, id=id_, wall_s=time.perf_counter() - started)
        if file:
            append_record(file, row)
    if as_json:
        print(to_json(row))
    elif state is None:
        _note(str(row["error"]), "red")
    else:
        from langchain_r2.cli_view import show_run

        show_run(Console(), state)
    raise typer.Exit(0 if answered(row) else 3)


@app.command()
def batch(
    source: Annotated[
        Path, typer.Argument(help='Lines {"query": "...", "id": "..."}; id by default the line\'s number.')
    ],
    target: Annotated[Path, typer.Argument(help="Gets one run record a line, as soon as each query ends.")],
    *,
    pool: PoolOption = "embedded",
    concurrency: Annotated[int, typer.Option(min=1, help="Most queries under way at once.")] = 8,
    budget_usd: BudgetOption = None,
    total_budget: Annotated[
        float | None, typer.Option(help="Hard limit of what all queries may cost together, in USD.", metavar="USD")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a file: queries that have a record, even of a failure, are skipped."),
    ] = False,
) -> None:
    """Answer the queries of a file."""
    from langchain_r2.cli_batch import index_queries, read_queries, run_batch, take_done
    from langchain_r2.cli_view import BatchView
    from langchain_r2.config import R2Context
    from langchain_r2.ledger import Budget
    from langchain_r2.run_record import open_records

    with contextlib.ExitStack() as stack:
        stack.enter_context(_wrong_use())
        limits = R2Context(budget_usd=budget_usd)
        waiting = index_queries(source)
        done = take_done(source, target, waiting, resume=resume)
        view = BatchView(Console(stderr=True), total=len(waiting), done=done)
        if total_budget is not None and not total_budget > 0:
            raise BadValueError("total_budget", total_budget, "a number above 0")
        shared = (
            None if total_budget is None else Budget(total_budget, view.cost_usd)
        )  # with what records say was spent
        graph: Any = build_graph(pool, budget=shared) if waiting else None  # nothing to run: nothing to load
        file = stack.enter_context(open_records(target))
        queries = (query for query in read_queries(source) if query.id in waiting)
        try:
            with view:
                asyncio.run(run_batch(graph, queries, file, concurrency=concurrency, limits=limits, on_record=view.add))
        except KeyboardInterrupt:
            _note(f"interrupted: {view.summary}; go on with --resume", "yellow")
            raise
    _note(view.summary, "")
    raise typer.Exit(0 if view.answered == view.total else 3)


@app.command()
def draw(
    *,
    form: Annotated[Literal["mermaid", "ascii"], typer.Option("--format", help="How to draw.")] = "mermaid",
    pool: PoolOption = "embedded",
) -> None:
    """Draw the router graph."""
    with _wrong_use():
        picture = build_graph(pool, check=False).get_graph(xray=True)
        if form == "mermaid":
            print(picture.draw_mermaid())
            return
        try:
            print(picture.draw_ascii())
        except ImportError as error:
            raise MissingExtraError("drawing as ASCII", "draw") from error


def main() -> None:
    """Run the command line."""
    app()


@contextlib.contextmanager
def _wrong_use() -> Iterator[None]:
    """Report wrong use as one message, without a traceback."""
    try:
        yield
    except ConfigurationError as error:
        _note(str(error), "red")
        raise typer.Exit(2) from error


app.command()(_wrong_use()(calibrate))
app.command(name="eval")(_wrong_use()(evaluate_command))
app.command(name="serve-embedded")(_wrong_use()(serve_embedded))
app.add_typer(pool_commands(_wrong_use), name="pool")


def _note(text: str, style: str) -> None:
    """One line on stderr: stdout is for results."""
    from langchain_r2.cli_view import note

    note(text, style)


def _version(*, on: bool) -> None:
    if on:
        print(f"langchain-r2 {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    main()
