"""The commands ``from-runs`` and ``fit-head``: recorded runs to training data, and an embedding allocator from them."""

import argparse
import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import open_grader
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Source, read_rows
from langchain_r2.evals.recorded import Judged, judged, read_answers, read_consented, read_feedback
from training.items import grader_named
from training.lines import Lines
from training.redaction import redactor
from training.settings import DataSettings, PoolSettings, SearchSettings, read_settings

LABELS, HELD_OUT, OUTCOMES, REPORT = "labels.jsonl", "held_out.jsonl", "outcomes.jsonl", "from_runs.json"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands."""
    runs = commands.add_parser("from-runs", help="turn run records into training data")
    runs.add_argument("records", type=Path, nargs="+", help="files that `batch` or `ask --record` wrote --for-training")
    runs.add_argument("--out", type=Path, required=True, help=f"folder: {LABELS}, {HELD_OUT}, {OUTCOMES}, {REPORT}")
    runs.add_argument("--config", default="embedded", help="TOML file, or a name in training/configs")
    runs.add_argument("--feedback", type=Path, help='lines {"id", "right"}: what people said of runs')
    runs.add_argument("--answers", help='lines {"query", "answer"}, compared by the grader of the config')
    runs.add_argument("--hold-back", help='lines {"query"} that nothing may be learned from: a test')
    runs.add_argument("--redact", metavar="MODULE:FUNCTION", help="from a text to it without what must not be learned")
    runs.set_defaults(run=run_from_runs)
    head = commands.add_parser("fit-head", help="fit an embedding allocator to outcomes of recorded runs")
    head.add_argument("--outcomes", type=Path, required=True, help=f"the {OUTCOMES} of from-runs")
    head.add_argument("--out", type=Path, required=True, help="folder of the head")
    head.add_argument("--ngrams", type=int, default=2, help="most words and signs in a term (default 2)")
    head.add_argument("--least", type=int, default=20, help="fewest outcomes of a model that is learned (default 20)")
    head.set_defaults(run=run_fit_head)


def run_from_runs(args: argparse.Namespace) -> None:
    """Convert, write, and print what was left out and why."""
    from training.from_runs import converted
    from training.sources import open_pool, pool_hash

    redact = redactor(args.redact)
    search = read_settings(args.config, "search", SearchSettings)
    pool, _ = open_pool(read_settings(args.config, "pool", PoolSettings))
    records, refused = read_consented(args.records)
    held_back = [row.text("query") for row in read_rows(Source("", 1, 0, args.hold_back))] if args.hold_back else []
    found = asyncio.run(_judged(args, records))
    made = converted(found.runs, pool, redact, same_text=search.changed == "freeze", held_back=held_back)
    if not made.rows:
        told = {**found.left_out, **made.counts["left_out"]}
        raise BadValueError("run records", told, "at least one right run", "Give --feedback, or --answers.")
    provenance = {
        "from": "runs",
        "records": [_digest(path) for path in args.records],
        "verdicts": [args.feedback and _digest(args.feedback), args.answers and _digest(Path(args.answers))],
        "hold_back": args.hold_back and _digest(Path(args.hold_back)),
        "pool": pool_hash(pool),
        "models": list(pool.names),
        "redaction": args.redact,
        "changed": search.changed,
    }
    for name, wanted in ((LABELS, {"train"}), (HELD_OUT, {"validation", "test"})):
        with Lines(args.out / name, provenance) as lines:
            for row in made.rows:
                if row["split"] in wanted and row["id"] not in lines.done:
                    lines.add(row["id"], row)
    with (args.out / OUTCOMES).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in made.outcomes)
    left_out = Counter(made.counts["left_out"]) + found.left_out + Counter({"not recorded for training": refused})
    report = {**made.counts, "records": len(records) + refused, "left_out": dict(left_out)}
    (args.out / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


async def _judged(args: argparse.Namespace, records: Any) -> Judged:  # noqa: ANN401 - of run records
    feedback = read_feedback(args.feedback) if args.feedback else {}
    answers: dict[str, Item] = read_answers(args.answers) if args.answers else {}
    named = read_settings(args.config, "data", DataSettings).grader
    with open_grader(grader_named(named)) as grader:
        return await judged(records, feedback=feedback, answers=answers, grader=grader)


def run_fit_head(args: argparse.Namespace) -> None:
    """Fit, save, and print what the head knows."""
    from training.outcomes.partial import fit_partial, read_partial

    head, facts = fit_partial(read_partial(args.outcomes), ngrams=args.ngrams, least=args.least)
    head.save(args.out)
    print(json.dumps(facts, indent=1))
