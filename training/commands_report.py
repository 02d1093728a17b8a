"""The commands ``report`` and ``sweep``."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    report = commands.add_parser("report", help="a page about a run: what it took, break-even, learning curves")
    report.add_argument("folder", type=Path, metavar="RUN_DIR", help="of any stage, or of several runs")
    report.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="pictures are written beside it")
    report.add_argument("--records", type=Path, help="folder of tests' records (default: RUN_DIR/records)")
    report.set_defaults(run=run_report)
    sweep = commands.add_parser(
        "sweep", help="what w_c, w_p, w_d, alpha and tau change, from kept samples; calls no model"
    )
    sweep.add_argument("--labels", type=Path, required=True, help="folder of `sample` and `label`")
    sweep.add_argument("--out", type=Path, help="folder of sweep.md, sweep.json, sweep.png (default: that of --labels)")
    sweep.add_argument("--cache", type=Path, help="file of executions (default: LABELS/executions.sqlite)")
    sweep.add_argument("--config", default="embedded", help="the one that was sampled with")
    sweep.add_argument("--limit", type=int, default=200, help="most problems whose subtasks alpha is swept on")
    sweep.set_defaults(run=run_sweep)


def run_report(args: argparse.Namespace) -> None:
    """Write the page."""
    from training.report import read_report
    from training.report_page import write_report

    for path in write_report(read_report(args.folder, args.records), args.out):
        print(path)


def run_sweep(args: argparse.Namespace) -> None:
    """Write the tables."""
    from training.sweeps import sweep, write_sweep

    out = args.out or args.labels
    found = sweep(args.labels, args.cache or args.labels / "executions.sqlite", args.config, args.limit)
    print(write_sweep(found, out))
