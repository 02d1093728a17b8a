"""The command that calibrates a pool: its options."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    *,
    pool: Annotated[str, typer.Option("--pool", metavar="embedded|FILE", help='"embedded", or a pool file (TOML).')],
    items: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help='Lines {"text": "...", "answer": "...", "kind": "..."}.')
    ] = None,
    probe: Annotated[
        int | None, typer.Option(metavar="N", help="In place of --items: so many built-in arithmetic steps.")
    ] = None,
    signal: Annotated[
        str, typer.Option(help="sequence, minimum, quantile_0.4, first_token_entropy, agreement or verifier.")
    ] = "sequence",
    samples: Annotated[
        int, typer.Option(help="Further samples of models without token probabilities, to see whether they agree.")
    ] = 0,
    verifier: Annotated[str | None, typer.Option(help="In place of --samples: pool model that checks answers.")] = None,
    target: Annotated[float, typer.Option(help="Share of accepted answers that should be right.")] = 0.95,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="By default beside the pool: POOL.calibration.json.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Ask only models that the file lacks; the others keep what was measured.")
    ] = False,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="Most that all of it may cost, in USD.")
    ] = None,
) -> None:
    """Measure a pool's models on labelled subtasks: what their confidence is worth, and what follows for routing."""
    from langchain_r2.cli.calibration_run import run
    from langchain_r2.confidence import Confidence

    confidence = Confidence(signal=signal, samples=samples, verifier=verifier)
    code = run(
        pool=pool,
        items=items,
        probe=probe,
        confidence=confidence,
        target=target,
        out=out,
        keep=keep,
        budget_usd=budget_usd,
    )
    raise typer.Exit(code)
