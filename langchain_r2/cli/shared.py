"""What the commands share: options, the graph of a pool, how wrong use is reported."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_r2.cli.view import note
from langchain_r2.errors import ConfigurationError

PoolOption = Annotated[
    str,
    typer.Option(
        "--pool",
        help='"embedded", "embedded-scan", "paper", or a pool file (TOML).',
        metavar="embedded|embedded-scan|paper|FILE",
    ),
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
TrainingOption = Annotated[
    bool, typer.Option("--for-training", help="Note in the record that routers may learn from it; off by default.")
]


def build_graph(pool: str, *, check: bool = True, explore: float = 0.0, **kept: Any) -> Any:  # noqa: ANN401 - their imports are slow
    """Make the router graph for a pool; for a pool file with the calibration that lies beside it, if any.

    Args:
        pool: ``embedded`` or the path of a pool file.
        check: Whether every model of a file must be buildable, so that a missing key or package shows before any call.
        explore: Share of subtasks that go to a step cheaper a model than allocated.
        kept: For ``create_r2_graph``: the ``budget`` that all its runs share, their call ``ledger``.

    Raises:
        ConfigurationError: The pool cannot be loaded, or one of its models cannot be built.
    """
    from langchain_r2.calibrate.named import named_router
    from langchain_r2.graph import create_r2_graph
    from langchain_r2.routers.exploring import explored

    router = named_router(pool, check=check, note=note)
    if explore:
        router = explored(router, explore)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The allocator's thresholds")  # the note says it
        return create_r2_graph(**router, **kept)


@contextlib.contextmanager
def wrong_use() -> Iterator[None]:
    """Report wrong use as one message, without a traceback."""
    try:
        yield
    except ConfigurationError as error:
        note(str(error), "red")
        raise typer.Exit(2) from error
