"""One query on the command line: run it, keep its record, show it; and the call ledger that it may be kept in."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.console import Console

from langchain_r2.call_ledger import CallLedger, Run
from langchain_r2.cli.view import note, show_run
from langchain_r2.errors import BadValueError, ConfigurationError
from langchain_r2.run_record import answered, append_record, failed_record, open_records, run_record, to_json
from langchain_r2.types import RunRecord


class Told(NamedTuple):
    """How a query ended."""

    record: RunRecord
    state: Mapping[str, Any] | None
    """What the graph returned; None where it raised."""

    def show(self, *, as_json: bool) -> int:
        """Print it; gives the exit code."""
        if as_json:
            typer.echo(to_json(self.record))
        elif self.state is None:
            note(str(self.record["error"]), "red")
        else:
            show_run(Console(), self.state)
        return 0 if answered(self.record) else 3


@contextlib.contextmanager
def recording(
    path: Path | None, query: str, id_: str, *, for_training: bool
) -> Iterator[Callable[[Callable[[], Mapping[str, Any]]], Told]]:
    """What runs a query and appends its record to a file, which is opened first: one that cannot be costs nothing."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_records(path)) if path else None

        def run(work: Callable[[], Mapping[str, Any]]) -> Told:
            started, state = time.perf_counter(), None
            try:
                state = work()
                wall_s = time.perf_counter() - started
                row = run_record(state, id=id_, wall_s=wall_s, for_training=for_training)
            except ConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001 - what failed is a record too
                row = failed_record(query, error, id=id_, wall_s=time.perf_counter() - started)
            if file:
                append_record(file, row)
            return Told(row, state)

        yield run


def opened(path: Path | None) -> contextlib.AbstractContextManager[CallLedger | None]:
    """A call ledger, if one is asked for.

    Raises:
        BadValueError: It cannot be used.
    """
    return CallLedger(path) if path else contextlib.nullcontext()


def existing(path: Path) -> CallLedger:
    """A call ledger that is there.

    Raises:
        BadValueError: It is not, or cannot be used.
    """
    if not path.is_file():
        raise BadValueError("file of a call ledger", str(path), "one that `ask --ledger` wrote")
    return CallLedger(path)


def unfinished(ledger: CallLedger, thread: str | None) -> Run:
    """The run to go on with: a thread's, or the newest that did not end and is no batch's.

    Raises:
        BadValueError: There is none.
    """
    if thread is not None:
        known = ledger.newest(thread).result()
        if known is None:
            raise BadValueError("run", thread, "the id of a run in the call ledger", f"{ledger.path} does not have it.")
        return known
    alone = [run for run in ledger.open_runs().result() if not str(run.thread_id).startswith("batch:")]
    if not alone:
        hint = "Batches go on with `batch --resume --ledger`."
        raise BadValueError("call ledger", str(ledger.path), "one with a run that did not end", hint)
    return alone[-1]
