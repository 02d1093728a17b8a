"""The command line: ``langchain-r2 ask | batch | resume | trace | draw | eval | calibrate | pool | serve-embedded``.

Exit codes: 0 every query was answered, 2 wrong use (nothing was run), 3 some query was not answered, 130 interrupted.
"""

import asyncio
import contextlib
import io
import sys
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
from langchain_r2.cli_plot import plot_commands
from langchain_r2.cli_pool import pool_commands
from langchain_r2.cli_serve import serve_embedded
from langchain_r2.cli_trace import PageFile
from langchain_r2.cli_trace import trace as trace_command
from langchain_r2.errors import BadValueError, ConfigurationError

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
LedgerOption = Annotated[
    Path | None,
    typer.Option(help="Write runs and calls down here, so that after a kill nothing is paid twice.", metavar="FILE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON run record and nothing else.")]
RecordOption = Annotated[Path | None, typer.Option(help="Append the run record to this file.", metavar="FILE.jsonl")]


def build_graph(pool: str, *, check: bool = True, **kept: Any) -> Any:  # noqa: ANN401 - their imports are slow
    """Make the router graph for a pool; for a pool file with the calibration that lies beside it, if any.

    Args:
        pool: ``embedded`` or the path of a pool file.
        check: Whether every model of a file must be buildable, so that a missing key or package shows before any call.
        kept: For ``create_r2_graph``: the ``budget`` that all its runs share, their call ``ledger``.

    Raises:
        ConfigurationError: The pool cannot be loaded, or one of its models cannot be built.
    """
    from langchain_r2.calibrate.named import named_router
    from langchain_r2.graph import create_r2_graph

    router = named_router(pool, check=check, note=_note)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The allocator's thresholds")  # the note says it
        return create_r2_graph(**router, **kept)


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
    as_json: JsonOption = False,
    record: RecordOption = None,
    ledger: LedgerOption = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write the run's page to this file, prompts and all.", metavar="FILE.html")
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Show plan and cost, and ask before executing it.")
    ] = False,
    approve_upward: Annotated[
        float | None, typer.Option(help="Ask before a step up that is expected to cost more.", metavar="USD")
    ] = None,
) -> None:
    """Answer one query, and show how and at what cost."""
    from langchain_r2.cli_approve import keeping, settled
    from langchain_r2.cli_ask import opened, recording
    from langchain_r2.config import R2Context

    with contextlib.ExitStack() as stack:
        stack.enter_context(_wrong_use())
        if not query.strip():
            raise BadValueError("query", query, "a text that is not empty")
        limits = R2Context(
            budget_usd=budget_usd,
            max_attempts=max_attempts,
            approve_plan=approve,
            approve_upward_usd=approve_upward,
        )
        id_, kept = uuid.uuid4().hex, stack.enter_context(opened(ledger))
        graph = build_graph(pool, ledger=kept, **keeping(limits))
        run = stack.enter_context(recording(record, query, id_))
        page = PageFile(trace) if trace else None
        named = {"thread_id": id_} if kept or limits.asks else {}
        config: Any = {"callbacks": page.callbacks if page else [], "configurable": named}
        try:
            told = run(lambda: settled(graph, graph.invoke({"query": query}, config, context=limits), config, limits))
        except KeyboardInterrupt:
            if kept:
                _note(f"interrupted: go on with `langchain-r2 resume --ledger {ledger} {id_}`", "yellow")
            raise
        if page:
            page.write(told.record)
    raise typer.Exit(told.show(_note, as_json=as_json))


@app.command()
def resume(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Id of the run's record; by default the newest run that did not end."),
    ] = None,
    *,
    ledger: Annotated[Path, typer.Option(help="The call ledger that the run was kept in.", metavar="FILE")],
    pool: PoolOption = "embedded",
    as_json: JsonOption = False,
    record: RecordOption = None,
) -> None:
    """Go on with a query that was killed; no call whose reply is in the ledger is made again."""
    from langchain_r2.cli_approve import keeping, settled
    from langchain_r2.cli_ask import existing, recording, unfinished
    from langchain_r2.nodes.base import known_limits
    from langchain_r2.resuming import resume

    with contextlib.ExitStack() as stack:
        stack.enter_context(_wrong_use())
        kept = stack.enter_context(existing(ledger))
        known = unfinished(kept, run_id)
        thread, limits = str(known.thread_id), known_limits(known.context)
        graph = build_graph(pool, ledger=kept, **(keeping(limits) if known.state == "open" else {}))
        config: Any = {"configurable": {"thread_id": thread}}
        run = stack.enter_context(recording(record, known.input["query"], thread))
        told = run(lambda: settled(graph, resume(graph, thread), config, limits))
    raise typer.Exit(told.show(_note, as_json=as_json))


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
    ledger: LedgerOption = None,
) -> None:
    """Answer the queries of a file."""
    from langchain_r2.cli_ask import opened
    from langchain_r2.cli_batch import batch_threads, index_queries, read_queries, run_batch, take_done
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
        kept = stack.enter_context(opened(ledger))
        # Nothing to run: nothing to load.
        graph: Any = build_graph(pool, budget=shared, ledger=kept) if waiting else None
        threads = batch_threads(kept, target, resume=resume) if kept else None
        file = stack.enter_context(open_records(target))
        queries = (query for query in read_queries(source) if query.id in waiting)
        try:
            with view:
                asyncio.run(
                    run_batch(
                        graph,
                        queries,
                        file,
                        concurrency=concurrency,
                        limits=limits,
                        on_record=view.add,
                        threads=threads,
                    )
                )
        except KeyboardInterrupt:
            _note(f"interrupted: {view.summary}; go on with --resume", "yellow")
            raise
    _note(view.summary, "")
    raise typer.Exit(0 if view.answered == view.total else 3)


@app.command()
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
    from langchain_r2.cli_trace import form_for, record_of, write_drawing
    from langchain_r2.trace import draw_graph

    with _wrong_use():
        form = form_for(form, out)
        record = record_of(run, run_id) if run else None
        drawn = draw_graph(build_graph(pool, check=False).get_graph(xray=xray), form, record)
        write_drawing(drawn, out)


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
app.command(name="trace")(_wrong_use()(trace_command))
app.command(name="serve-embedded")(_wrong_use()(serve_embedded))
app.add_typer(pool_commands(_wrong_use), name="pool")
app.add_typer(plot_commands(_wrong_use), name="plot")


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
