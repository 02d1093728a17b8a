"""The command that evaluates: its options."""

import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from langchain_r2.cli.shared import TrainingOption
from langchain_r2.cli.view import note
from langchain_r2.errors import BadValueError

if TYPE_CHECKING:
    from langchain_r2.evals.benchmarks import Selection
    from langchain_r2.evals.estimate import Estimate
    from langchain_r2.pool import ModelPool


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
    methods: Annotated[
        str,
        typer.Option(
            help="Methods to compare, with commas between: r2, ablations, direct, cot, fixed, random, tot, best-fixed, "
            "datashunt, query-router, frugalgpt, automix, dot, oracle; baselines, all."
        ),
    ] = "r2,direct,cot,fixed",
    out: Annotated[
        Path, typer.Option(help="Folder for records and tables; with several splits, one folder for each in it.")
    ] = Path("eval-results"),
    pool: Annotated[
        str | None,
        typer.Option(
            help='"embedded", "embedded-scan", "paper", or a pool file; by default the embedded one for the benchmark.',
            metavar="embedded|embedded-scan|paper|FILE",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most items under way at once.")] = 64,
    validation: Annotated[
        str | None,
        typer.Option(
            help="What baselines are tuned on: a split of the benchmark, or a file. Default: its split validation.",
            metavar="SPLIT|FILE",
        ),
    ] = None,
    validation_limit: Annotated[int, typer.Option(min=1, help="How many validation items.")] = 100,
    budget: Annotated[
        float | None, typer.Option(min=0, help="Most USD to spend on calls; it stops before it would pass them.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after the estimate.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Replace the records of --out. Without it, a run goes on.")
    ] = False,
    allow_unsafe_execution: Annotated[
        bool,
        typer.Option(
            "--allow-unsafe-execution",
            help="For p3, where no sandbox can be made: code of models may do all that you may.",
        ),
    ] = False,
    for_training: TrainingOption = False,
) -> None:
    """Compare methods on a benchmark, or on your own questions: accuracy and cost, with error bars."""
    from langchain_r2.calibrate.named import named_router
    from langchain_r2.eval_page import write_page
    from langchain_r2.evals.benchmarks import load_items
    from langchain_r2.evals.folder import CALLS
    from langchain_r2.evals.grading import RUNS_CODE, Tools
    from langchain_r2.evals.run import Limits, evaluate
    from langchain_r2.evals.sandbox import SandboxChecker

    splits = [None] if split is None else listed("split", split, "test,wordings")
    groups = listed("methods", methods, "r2,direct")
    # A wrong name shows before the first split runs.
    chosen = [
        load_items(benchmark, split=name, limit=limit, seed=seed, data=data, grader=grader, first=first)
        for name in splits
    ]
    if for_training:
        chosen = [learnable(selection) for selection in chosen]
    tuning = validation_items(
        benchmark, validation, limit=validation_limit, seed=seed, data=data, grader=grader, needed=groups
    )
    router = named_router(pool or chosen[0].benchmark.pool, check=True, note=note)
    judging = router["pool"][judge] if judge else None
    confirm = None if yes or budget is not None or in_process(router["pool"]) else asked
    runs_code = chosen[0].benchmark.grader in RUNS_CODE
    checker = SandboxChecker(allow_unsafe_execution=allow_unsafe_execution) if runs_code else None
    with checker or nullcontext(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The allocator's thresholds")  # the note says it
        whole = True
        for selection in chosen:
            folder = out / str(selection.facts["split"]) if len(splits) > 1 else out
            whole &= evaluate(
                selection,
                router=router,
                methods=groups,
                out=folder,
                validation=tuning,
                limits=Limits(concurrency=concurrency, budget_usd=budget, confirm=confirm),
                console=Console(),
                tools=Tools(judging, router.get("transport"), checker),
                cache=out / CALLS,
                restart=restart,
            )
            note(f"report: {write_page(folder)}")
    if not whole:
        raise typer.Exit(1)


def learnable(selection: "Selection") -> "Selection":
    """Items whose records say that routers may learn from them.

    Raises:
        BadValueError: They are of a split of a benchmark that routers are tested on.
    """
    from langchain_r2.evals.benchmarks import BENCHMARKS

    split = selection.facts["split"]
    if selection.facts["benchmark"] in BENCHMARKS and split not in {"train", "validation"}:
        hint = "What was learned from cannot be tested on."
        raise BadValueError("split, with --for-training", split, "train, validation, or your own questions", hint)
    return selection._replace(facts={**selection.facts, "for_training": True})


def validation_items(
    benchmark: str,
    named: str | None,
    *,
    limit: int,
    seed: int,
    data: str | None,
    grader: str | None,
    needed: Sequence[str],
) -> "Selection | None":
    """What baselines are tuned on: what was named, else the benchmark's split ``validation``, if it has one."""
    from langchain_r2.evals.benchmarks import BENCHMARKS, load_items
    from langchain_r2.evals.methods import BASELINES, groups_of

    if not set(groups_of(needed)) & set(BASELINES):
        return None
    if named is not None and Path(named).is_file():
        known = benchmark in BENCHMARKS
        return load_items(
            benchmark if known else named, data=named if known else None, limit=limit, seed=seed, grader=grader
        )
    if named is not None:
        return load_items(benchmark, split=named, data=data, limit=limit, seed=seed, grader=grader)
    if benchmark in BENCHMARKS and "validation" in BENCHMARKS[benchmark].splits and data is None:
        return load_items(benchmark, split="validation", limit=limit, seed=seed, grader=grader)
    return None


def in_process(pool: "ModelPool") -> bool:
    """Whether all models run in this process: their prices are on paper, and nobody has to be asked."""
    from langchain_r2.in_process import InProcessChatModel

    return all(isinstance(spec.model, InProcessChatModel) for spec in (*pool.models, *pool.executors))


def asked(estimate: "Estimate") -> bool:
    """Ask in the terminal whether to go on; where nobody can answer, say how to.

    Raises:
        BadValueError: Standard input is no terminal.
    """
    del estimate  # it was shown
    if not sys.stdin.isatty():
        raise BadValueError("answer to the estimate", None, "--budget USD, or --yes", "Nobody can be asked here.")
    return typer.confirm("Go on?")


def listed(option: str, text: str, example: str) -> list[str]:
    """Names with commas between.

    Raises:
        BadValueError: There is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadValueError(option, text, f"names with commas between, such as {example}")
    return names
