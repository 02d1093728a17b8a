"""The command that replays an allocator on recorded runs: ``langchain-r2 replay``."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from langchain_r2.cli.shared import PoolOption
from langchain_r2.cli.view import note
from langchain_r2.errors import BadValueError

if TYPE_CHECKING:
    from langchain_r2.evals.metrics import Estimate
    from langchain_r2.evals.replay import Replayed, Summary


def replay(
    records: Annotated[Path, typer.Argument(help="Run records that were made with --for-training.")],
    *,
    allocator: Annotated[
        str,
        typer.Option(
            help="Folder of a head, one model for all subtasks, or the pool's.", metavar="DIR|fixed:NAME|pool"
        ),
    ],
    pool: PoolOption = "embedded",
    slack: Annotated[float | None, typer.Option(help="Of a head, in place of its own.", metavar="0..1")] = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="Further records to look choices up in; not replayed themselves.")
    ] = None,
    feedback: Annotated[
        Path | None, typer.Option(help='Lines {"id": "...", "right": true}: what people said.', metavar="FILE.jsonl")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help='Lines {"query": "...", "answer": "..."}.', metavar="FILE.jsonl")
    ] = None,
    grader: Annotated[
        Literal["exact", "numeric", "choice", "math"], typer.Option(help="Compares with these answers.")
    ] = "exact",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Estimate cost and accuracy of another allocator on recorded runs, without a model call to the pool."""
    from langchain_r2.calibrate.named import named_router
    from langchain_r2.evals.grading import open_grader
    from langchain_r2.evals.metrics import Estimate
    from langchain_r2.evals.recorded import judged, read_answers, read_consented, read_feedback
    from langchain_r2.evals.replay import Courses, Replay, summarized

    kept, refused = read_consented([records])
    further = read_consented(also)[0] if also else []
    said = read_feedback(feedback) if feedback else {}
    gold = read_answers(str(answers)) if answers else {}
    made = _allocator(allocator, named_router(pool, check=allocator == "pool", note=note), slack)
    with open_grader(grader) as grades:

        async def work() -> "tuple[Sequence[Replayed], Counter[str]]":
            runs, left_out = await judged(kept, feedback=said, answers=gold, grader=grades)
            if not runs:
                hint = f"Left out: {_told(left_out)}. Give --feedback, or --answers."
                raise BadValueError("runs to replay", 0, "at least one that is known to be right or wrong", hint)
            over = Replay(allocator=made, courses=Courses([*kept, *further]), grader=grades, answers=gold)
            return await over.all(runs), left_out + Counter({"not recorded for training": refused})

        replayed, left_out = asyncio.run(work())
    summary = summarized(replayed)
    if as_json:
        told = {k: v._asdict() if isinstance(v, Estimate) else v for k, v in vars(summary).items()}
        typer.echo(json.dumps({**told, "left_out": dict(left_out)}))
    else:
        _show(Console(), summary, left_out)


def _allocator(named: str, router: dict[str, Any], slack: float | None) -> Any:  # noqa: ANN401 - any allocator
    from langchain_r2.routers.baselines import FixedAllocator
    from langchain_r2.routers.calibrated import CalibratedAllocator
    from langchain_r2.routers.embedding import EmbeddingAllocator

    pool = router["pool"]
    if named == "pool":
        return router.get("allocator") or CalibratedAllocator(pool)
    if named.startswith("fixed:"):
        return FixedAllocator(pool, named.removeprefix("fixed:"))
    return EmbeddingAllocator(pool, named, slack=slack)


def _show(console: Console, summary: "Summary", left_out: Counter[str]) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    runs = summary.runs
    say(f"{runs} runs of known outcome; left out: {_told(left_out)}")
    say(f"subtasks given to the model that had them: {summary.same} of {summary.subtasks}")
    say(f"covered: {summary.covered} of {runs} runs ({summary.covered / runs:.1%})")
    say(f"  not covered: {runs - summary.covered - summary.unknown_answer} have a choice that no record has,")
    say(f"  {summary.unknown_answer} another answer of which nobody knows; neither is guessed")
    say(f"as logged, all runs: {_share(summary.logged_accuracy)} right, {_millions(summary.logged_usd)}")
    if summary.accuracy is None or summary.accuracy_gain is None:
        say("No run is covered: nothing can be said. Record runs with `batch --explore`.")
        return
    say(f"replayed, covered runs: {_share(summary.accuracy)} right, {_millions(summary.usd)}")
    gain, low, high = (part * 100 for part in summary.accuracy_gain)
    say(f"  against the same runs as logged: {gain:+.1f} points [{low:+.1f}, {high:+.1f}]")
    if (ratio := summary.cost_ratio) is not None:
        say(f"  {ratio.value:.3f} x the cost [{ratio.low:.3f}, {ratio.high:.3f}]")
    say(f"accuracy of all runs, whatever is unknown: {summary.least_accuracy:.1%} to {summary.most_accuracy:.1%}")


def _told(left_out: Counter[str]) -> str:
    return "; ".join(f"{why}: {count}" for why, count in (+left_out).most_common()) or "none"


def _share(value: "Estimate") -> str:
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]"


def _millions(usd: float | None) -> str:
    return "unknown cost" if usd is None else f"{usd * 1e6:.1f} USD per million queries"
