"""``python -m training.outcomes FILE...``: an embedding allocator per table of outcomes, trained and tested.

Beside it, on the same prompts: random scores, a TF-IDF ridge tuned in the same way, the best single model. Everything
that is chosen (strengths, slack) is chosen on training prompts, out of fold; the test split is read once.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from training.outcomes.compare import Table, decision_ms, difference, random_scores, row
from training.outcomes.heads import Fitted, Vectors, fit_ridge, fit_tfidf, fit_vectors, transformer_vectors
from training.outcomes.measures import Interval
from training.outcomes.table import read_outcomes


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tables", type=Path, nargs="+", help="JSONL, gzipped or not: prompt, models, q, split, optionally c"
    )
    parser.add_argument("--out", type=Path, help="folder for the heads and the figures")
    parser.add_argument("--ngrams", type=int, default=3, help="most words and signs in a term (default 3)")
    parser.add_argument("--embeddings", help="path or Hugging Face id of an encoder, for a head on its vectors beside")
    parser.add_argument("--limit", type=int, help="first prompts of each split only, for a quick try")
    args = parser.parse_args(arguments)
    for path in args.tables:
        report = one_table(path, args.out, args.ngrams, args.embeddings, args.limit)
        print(markdown(report))
        if args.out is not None:
            (args.out / f"{report['table']}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def one_table(path: Path, out: Path | None, ngrams: int, embeddings: str | None, limit: int | None) -> dict[str, Any]:
    """Train and test on one table; returns the figures, and saves the heads where a folder is given."""
    splits = read_outcomes(path)
    if limit is not None:
        splits = {
            name: s._replace(prompts=s.prompts[:limit], quality_NM=s.quality_NM[:limit]) for name, s in splits.items()
        }
    table, name = Table(splits["train"], splits["test"]), path.name.removesuffix(".gz").removesuffix(".jsonl")
    ridge = fit_ridge(table.train, table.test, table.select)
    started = time.monotonic()
    ours: dict[str, tuple[Fitted, Vectors | None]] = {}
    ours["tfidf head"] = fit_tfidf(table.train, table.test, table.select, ngrams), None
    if embeddings:
        train_ND, test_ND = (
            transformer_vectors(embeddings, s.prompts, out and out / f"{name}_{split}_vectors.npy")
            for split, s in splits.items()
        )
        ours["vector head"] = fit_vectors(table.train, table.select, train_ND, test_ND), test_ND
    report: dict[str, Any] = {
        "table": name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "models": table.test.models,
        "train": len(table.train.prompts),
        "test": len(table.test.prompts),
        "best_single": table.test.models[table.best_single],
        "cost_from": table.test.cost_from,
        "fit_s": round(time.monotonic() - started, 1),
        "rows": [row(table, "random", random_scores(table)), row(table, "TF-IDF ridge", ridge)],
        "against_ridge": {},
    }
    for label, (fitted, vectors_ND) in ours.items():
        figures = row(table, label, fitted)
        assert fitted.head is not None
        fitted.head.slack = figures["slack"]
        fitted.head.facts = {key: report[key] for key in ("table", "sha256", "train")}
        figures["decision_ms"] = decision_ms(table, fitted, vectors_ND)
        if out is not None:
            fitted.head.save(out / f"{name}_{label.replace(' ', '_')}")
        report["rows"].append(figures)
        report["against_ridge"][label] = difference(table, fitted, ridge)
    return report


def markdown(report: dict[str, Any]) -> str:
    """The figures as a table."""
    names = [name for name, value in report["rows"][0].items() if isinstance(value, Interval)]
    lines = [
        f"\n## {report['table']}: {report['train']} training prompts, {report['test']} test prompts",
        f"best single model: {report['best_single']}; cost: {report['cost_from']}; sha256 {report['sha256'][:12]}",
        "quality: less the best single model's, at the slack that reached it on training prompts; PerfGain: at slack 0",
        "",
        "| router | " + " | ".join(names) + " | ECE | ms a decision |",
        "|" + "---|" * (len(names) + 3),
    ]
    for figures in report["rows"]:
        cells = [_cell(figures[name]) for name in names]
        extra = [f"{figures[k]:.3f}" if k in figures else "" for k in ("ECE", "decision_ms")]
        lines.append(f"| {figures['router']} | " + " | ".join([*cells, *extra]) + " |")
    for label, gaps in report["against_ridge"].items():
        for what, gap in gaps.items():
            verdict = "clear of zero" if gap.low > 0 or gap.high < 0 else "touches zero"
            lines.append(f"\n{label} less the ridge, {what}: {_cell(gap)}: {verdict}")
    return "\n".join(lines)


def _cell(value: Interval) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


if __name__ == "__main__":
    main()
