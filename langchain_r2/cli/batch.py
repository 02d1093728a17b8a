"""The command for the queries of a file: ``langchain-r2 batch``."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from langchain_r2.cli import shared
from langchain_r2.cli.shared import BudgetOption, LedgerOption, PoolOption, TrainingOption
from langchain_r2.cli.view import note
from langchain_r2.errors import BadValueError


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
    for_training: TrainingOption = False,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Share of subtasks given to a step cheaper a model than allocated.")
    ] = 0.0,
) -> None:
    """Answer the queries of a file."""
    from langchain_r2.cli.many_queries import batch_threads, index_queries, read_queries, run_batch, take_done
    from langchain_r2.cli.one_query import opened
    from langchain_r2.cli.view import BatchView
    from langchain_r2.config import R2Context
    from langchain_r2.ledger import Budget
    from langchain_r2.run_record import open_records

    with contextlib.ExitStack() as stack:
        limits = R2Context(budget_usd=budget_usd)
        waiting = index_queries(source)
        done = take_done(source, target, waiting, resume=resume)
        view = BatchView(Console(stderr=True), total=len(waiting), done=done)
        if total_budget is not None and not total_budget > 0:
            raise BadValueError("total_budget", total_budget, "a number above 0")
        together = None if total_budget is None else Budget(total_budget, view.cost_usd)  # with what was spent
        kept = stack.enter_context(opened(ledger))
        # Nothing to run: nothing to load.
        graph: Any = shared.build_graph(pool, explore=explore, budget=together, ledger=kept) if waiting else None
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
                        for_training=for_training,
                    )
                )
        except KeyboardInterrupt:
            note(f"interrupted: {view.summary}; go on with --resume", "yellow")
            raise
    note(view.summary)
    raise typer.Exit(0 if view.answered == view.total else 3)
