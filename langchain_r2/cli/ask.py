"""The commands for one query: ``langchain-r2 ask``, and ``resume`` where it was killed."""

import contextlib
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_r2.cli import shared
from langchain_r2.cli.pages import PageFile
from langchain_r2.cli.shared import BudgetOption, JsonOption, LedgerOption, PoolOption, RecordOption, TrainingOption
from langchain_r2.cli.view import note
from langchain_r2.errors import BadValueError


def ask(  # noqa: PLR0913 - its options
    query: Annotated[str, typer.Argument(help="What to answer.")],
    *,
    pool: PoolOption = "embedded",
    budget_usd: BudgetOption = None,
    max_attempts: Annotated[int, typer.Option(help="Most tries of one subtask, over all models.")] = 4,
    as_json: JsonOption = False,
    record: RecordOption = None,
    for_training: TrainingOption = False,
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
    from langchain_r2.cli.approve import keeping, settled
    from langchain_r2.cli.one_query import opened, recording
    from langchain_r2.config import R2Context

    with contextlib.ExitStack() as stack:
        if not query.strip():
            raise BadValueError("query", query, "a text that is not empty")
        limits = R2Context(
            budget_usd=budget_usd,
            max_attempts=max_attempts,
            approve_plan=approve,
            approve_upward_usd=approve_upward,
        )
        id_, kept = uuid.uuid4().hex, stack.enter_context(opened(ledger))
        graph = shared.build_graph(pool, ledger=kept, **keeping(limits))
        run = stack.enter_context(recording(record, query, id_, for_training=for_training))
        page = PageFile(trace) if trace else None
        named = {"thread_id": id_} if kept or limits.asks else {}
        config: Any = {"callbacks": page.callbacks if page else [], "configurable": named}
        try:
            told = run(lambda: settled(graph, graph.invoke({"query": query}, config, context=limits), config, limits))
        except KeyboardInterrupt:
            if kept:
                note(f"interrupted: go on with `langchain-r2 resume --ledger {ledger} {id_}`", "yellow")
            raise
        if page:
            page.write(told.record)
    raise typer.Exit(told.show(as_json=as_json))


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
    for_training: TrainingOption = False,
) -> None:
    """Go on with a query that was killed; no call whose reply is in the ledger is made again."""
    from langchain_r2.cli.approve import keeping, settled
    from langchain_r2.cli.one_query import existing, recording, unfinished
    from langchain_r2.nodes.base import known_limits
    from langchain_r2.resuming import resume

    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(existing(ledger))
        known = unfinished(kept, run_id)
        thread, limits = str(known.thread_id), known_limits(known.context)
        graph = shared.build_graph(pool, ledger=kept, **(keeping(limits) if known.state == "open" else {}))
        config: Any = {"configurable": {"thread_id": thread}}
        run = stack.enter_context(recording(record, known.input["query"], thread, for_training=for_training))
        told = run(lambda: settled(graph, resume(graph, thread), config, limits))
    raise typer.Exit(told.show(as_json=as_json))
