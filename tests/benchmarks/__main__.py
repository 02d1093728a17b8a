"""Speed benchmarks: ``python -m tests.benchmarks [NAME ...] [--quick] [--out FILE.jsonl]``.

Every figure is a ratio (or a difference) within one run, with its interval, its bar and the machine. Needs Linux. Ends
with 1 where a bar is missed.
"""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

os.environ["LANGSMITH_TRACING"] = "false"  # before LangChain is imported: traces would be part of what is measured

from tests.benchmarks.measure import machine

NAMES = (
    "import_cost",
    "call_overhead",
    "parallel_plan",
    "many_queries",
    "embedded_batch",
    "event_loop",
    "ledger_cost",
    "recording_cost",
    "batch_scale",
    "code_check",
)


def main() -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works, measures little")
    parser.add_argument("--out", type=Path, help="append one JSON line per figure")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    print(" · ".join(f"{key} {value}" for key, value in machine().items()), flush=True)
    missed = 0
    for name in options.names or NAMES:
        for result in import_module(f"tests.benchmarks.{name}").run(quick=options.quick):
            print(result.line(), flush=True)
            missed += not result.passed
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(result.json() + "\n")
    print(f"{missed} bars missed" if missed else "all bars kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
