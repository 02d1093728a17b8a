"""The command that evaluates: its options."""

import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langchain_r2.errors import BadValueError


def evaluate_command(  # noqa: PLR0913 - its options
    benchmark: Annotated[
        str, typer.Argument(help="Name of a benchmark, or a file of questions.", metavar="NAME|FILE.jsonl")
    ] = "arithmetic",
    *,
    data: Annotated[
        str | None, typer.Option(help="The benchmark's data, if it is not generated.", metavar="FILE|hf:OWNER/NAME")
    ] = None,
    grader: Annotated[
        str | None,
        typer.Option(
            help="For your own questions; else instead of the benchmark's.", metavar="exact|numeric|choice|math|llm"
        ),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="Pool model that grades, with --grader llm.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Splits, with commas between.", metavar="test|wordings|longer[,...]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many items.")] = 200,
    seed: Annotated[int, typer.Option(help="Which items.")] = 0,
    first: Annotated[bool, typer.Option("--first", help="The first items of the data, none drawn.")] = False,
    methods: Annotated[str, typer.Option(help="Methods to compare, with commas between.")] = "r2,direct,cot,fixed",
    out: Annotated[
        Path, typer.Option(help="Folder for records and tables; with several splits, one folder for each in it.")
    ] = Path("eval-results"),
    pool: Annotated[
        str, typer.Option(help='"embedded", "paper", or a pool file (TOML).', metavar="embedded|paper|FILE")
    ] = "embedded",
    concurrency: Annotated[int, typer.Option(min=1, help="Most items under way at once.")] = 64,
) -> None:
    """Compare methods on a benchmark, or on your own questions: accuracy and cost, with error bars."""
    from langchain_r2.calibrate.named import named_router  # noqa: PLC0415 - so that `--help` is quick
    from langchain_r2.cli_view import note  # noqa: PLC0415
    from langchain_r2.evals.benchmarks import load_items  # noqa: PLC0415
    from langchain_r2.evals.grading import Tools  # noqa: PLC0415
    from langchain_r2.evals.run import evaluate  # noqa: PLC0415

    splits = [None] if split is None else listed("split", split, "test,wordings")
    groups = listed("methods", methods, "r2,direct")
    # A wrong name shows before the first split runs.
    chosen = [
        load_items(benchmark, split=name, limit=limit, seed=seed, data=data, grader=grader, first=first)
        for name in splits
    ]
    router = named_router(pool, check=True, note=note)
    judging = router["pool"][judge] if judge else None
    for selection in chosen:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The allocator's thresholds")  # the note says it
            evaluate(
                selection,
                router=router,
                methods=groups,
                out=out / str(selection.facts["split"]) if len(splits) > 1 else out,
                concurrency=concurrency,
                console=Console(),
                tools=Tools(judge=judging, transport=router.get("transport")),
            )


def listed(option: str, text: str, example: str) -> list[str]:
    """Names with commas between.

    Raises:
        BadValueError: There is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadValueError(option, text, f"names with commas between, such as {example}")
    return names
