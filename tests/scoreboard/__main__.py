"""The scoreboard: ``python -m tests.scoreboard [ROW ...]``. What was promised, tried on this machine.

Every row is a list of scenarios that pass or fail; raw outcomes go to a file of JSON lines, the table is computed from
them. No address but loopback is contacted. Ends with 1 where a row falls short.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

os.environ["LANGSMITH_TRACING"] = "false"  # before LangChain is imported: a trace would leave the machine
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are so small that threads only wait for each other

from tests.scoreboard import table
from tests.scoreboard.row import OURS, STOCK, Outcome, Row, rows


def main() -> int:
    """Run the rows that are named, or all."""
    warnings.simplefilter("ignore")  # of scenarios that use things wrongly on purpose
    found = rows()
    parser = _parser(found)
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(found)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(found)}")
    chosen = {id_: found[id_] for id_ in options.rows or found}
    if options.check_protections:
        return _check_protections(chosen)
    lines = table.read(options.read) if options.read else list(_kept(_outcomes(chosen, options), options.out))
    print("\n" + table.text(table.cells(lines, found)))
    if options.markdown:
        table.write(options.markdown, table.markdown(lines, found))
    short = sum(line.get("column") == OURS and not line["passed"] for line in lines)
    short += len(set(chosen) - {line.get("row") for line in lines})  # a row without outcomes shows nothing
    print(f"{short} scenarios fall short" if short else "every scenario passed")
    return 1 if short else 0


def _parser(found: Mapping[str, Row]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.scoreboard", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(found)}; all by default")
    parser.add_argument("--quick", action="store_true", help="only the scenarios that are part of the tests")
    parser.add_argument("--stock", action="store_true", help="also ChatOpenAI as it comes, on the same server")
    parser.add_argument("--without", metavar="NAME", help="take a protection out: its row must fail then")
    parser.add_argument("--check-protections", action="store_true", help="show that every protection is needed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the outcomes as JSON lines")
    parser.add_argument("--read", type=Path, metavar="FILE", help="run nothing, show such a file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into this document")
    return parser


def _outcomes(chosen: Mapping[str, Row], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield table.head()
    for row in chosen.values():
        if options.without and options.without not in row.protections:
            print(f"{row.id}: has no protection {options.without!r}; it has {', '.join(row.protections)}")
            continue
        with row.protections[options.without]() if options.without else nullcontext():
            yield from _column(row, OURS, row.run(options.quick))
        if options.stock and row.stock is not None:
            yield from _column(row, STOCK, row.stock(options.quick))


def _kept(lines: Iterable[dict[str, Any]], out: Path | None) -> Iterator[dict[str, Any]]:
    """The same lines, each written to the file when it is there."""
    with out.open("w", encoding="utf-8") if out else nullcontext() as file:
        for line in lines:
            if file is not None:
                file.write(json.dumps(line) + "\n")
                file.flush()
            yield line


def _column(row: Row, column: str, outcomes: Iterable[Outcome]) -> Iterator[dict[str, Any]]:
    began = last = time.perf_counter()
    passed = number = 0
    for outcome in outcomes:
        now = time.perf_counter()
        yield table.line(outcome, column, now - last)
        last, number, passed = now, number + 1, passed + outcome.passed
        if not outcome.passed and column == OURS:
            print(f"  FAIL {row.id} {outcome.scenario}: {json.dumps(outcome.details)[:600]}", flush=True)
    print(f"{row.id} {row.title}: {column} {passed} of {number} in {last - began:.1f} s", flush=True)


def _check_protections(chosen: Mapping[str, Row]) -> int:
    idle = 0
    for row in chosen.values():
        for name, protection in row.protections.items():
            failed, number = without(row, protection)
            idle += not failed
            mark = "ok  " if failed else "IDLE"
            print(f"{mark} {row.id} without {name}: {failed} of {number} quick scenarios fail", flush=True)
    print(f"{idle} protections could go unnoticed" if idle else "every row fails without each of its protections")
    return 1 if idle else 0


def without(row: Row, protection: Callable[[], AbstractContextManager[Any]]) -> tuple[int, int]:
    """How many of a row's quick scenarios fail without a protection, of how many."""
    with protection():
        outcomes = list(row.run(True))
    return sum(not outcome.passed for outcome in outcomes), len(outcomes)


if __name__ == "__main__":
    sys.exit(main())
