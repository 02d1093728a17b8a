"""The store of runs and calls: what is written is there for the next process, and only once."""

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.call_ledger import CallEntry, CallLedger, committed, tables
from langchain_r2.errors import BadValueError, LedgerError
from langchain_r2.flow import arun

ASKED = {"query": "q"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[CallLedger]:
    with CallLedger(path) as made:
        yield made


def entry(run_id: str = "run", key: str = "k", try_number: int = 0, **changes: Any) -> CallEntry:
    made = CallEntry(run_id, key, try_number, "executor", "m1", "1", worst_usd=0.5, worst_tokens=90)
    return made._replace(**changes)


def done(call: CallEntry) -> CallEntry:
    return call._replace(state="done", cost_usd=0.125, tokens=7, reply={"text": "\ud800 a"}, attempt={"answer": "a"})


def test_a_thread_goes_on_with_its_open_run_only_for_the_same_question(ledger: CallLedger) -> None:
    first = ledger.admit("t", ASKED, {"budget_usd": 1.0}).result()
    again = ledger.admit("t", ASKED, {"budget_usd": 2.0}).result()
    assert (first.resumed, again) == (False, (first.run_id, True))
    run = ledger.run(first.run_id).result()
    assert run is not None
    assert (run.state, run.input, run.context, run.result) == ("open", ASKED, {"budget_usd": 2.0}, None)
    assert ledger.admit("t", {"query": "other"}, {}).result().resumed is False
    assert ledger.admit("t", ASKED, {}).result().resumed is False  # the newest asks something else
    assert ledger.admit(None, ASKED, {}).result().run_id != ledger.admit(None, ASKED, {}).result().run_id


def test_a_finished_run_is_not_gone_on_with_until_it_is_reopened(ledger: CallLedger) -> None:
    first = ledger.admit("t", ASKED, {}).result().run_id
    assert [run.run_id for run in ledger.open_runs().result()] == [first]
    ledger.finish(first, {"answer": "a"}).result()
    newest = ledger.newest("t").result()
    assert newest is not None
    assert (newest.state, newest.result) == ("done", {"answer": "a"})
    assert ledger.open_runs().result() == []
    ledger.reopen(first).result()
    assert ledger.admit("t", ASKED, {}).result() == (first, True)
    assert ledger.newest("nobody").result() is None
    assert ledger.run("nobody").result() is None


def test_a_detached_thread_starts_anew_and_its_cost_stays(ledger: CallLedger) -> None:
    run = ledger.admit("batch:a%:1", ASKED, {}).result().run_id
    ledger.send(entry(run)).result()
    other = ledger.admit("batch:ab:1", ASKED, {}).result().run_id
    ledger.detach("batch:a%:").result()
    assert ledger.newest("batch:a%:1").result() is None
    assert ledger.spent(run).result() == (0.5, 90)
    assert ledger.admit("batch:ab:1", ASKED, {}).result().run_id == other


def test_a_settled_try_is_recalled_as_it_was(ledger: CallLedger) -> None:
    assert ledger.recall("run", "k", "me").result() == []
    ledger.send(entry()).result()
    ledger.settle(done(entry())).result()
    ledger.release("run", "k", "me", failed=False).result()
    assert ledger.recall("run", "k", "me").result() == [done(entry())]
    assert ledger.spent("run").result() == (0.125, 7)
    assert ledger.recall("run", "k2", "me").result() == []
    assert ledger.recall("other run", "k", "me").result() == []


def test_a_try_under_way_counts_at_its_bound_and_is_lost_when_its_process_is_gone(path: Path) -> None:
    with CallLedger(path) as before:
        before.recall("run", "k", "me").result()
        before.send(entry()).result()
        assert before.spent("run").result() == (0.5, 90)
    with CallLedger(path) as after:
        lost = entry(state="lost", cost_usd=0.5, tokens=90)
        assert after.recall("run", "k", "me").result() == [lost]
        after.send(entry(try_number=1)).result()
        after.settle(done(entry(try_number=1))).result()
        assert after.calls("run").result() == [lost, done(entry(try_number=1))]
        assert after.spent("run").result() == (0.625, 97)


def test_a_call_is_one_callers_until_that_one_lets_go(ledger: CallLedger) -> None:
    ledger.recall("run", "k", "me").result()
    assert ledger.recall("run", "k", "other").result() is None
    ledger.release("run", "k", "other", failed=False)
    assert ledger.recall("run", "k", "other").result() is None
    ledger.release("run", "k", "me", failed=False)
    assert ledger.recall("run", "k", "other").result() == []


def test_a_try_that_was_withdrawn_was_never_sent(ledger: CallLedger) -> None:
    ledger.send(entry())
    ledger.withdraw(entry())
    assert ledger.calls("run").result() == []
    ledger.send(entry())
    ledger.settle(done(entry()))
    ledger.withdraw(entry())  # too late
    assert ledger.calls("run").result() == [done(entry())]


def test_a_call_that_was_given_up_says_so(ledger: CallLedger) -> None:
    ledger.recall("run", "k", "me")
    for number in (0, 1):
        ledger.send(entry(try_number=number))
        ledger.settle(entry(try_number=number, state="failed", error="down"))
    ledger.release("run", "k", "me", failed=True)
    assert [row.last for row in ledger.recall("run", "k", "me").result() or []] == [False, True]


def test_many_callers_share_commits_and_none_is_lost(ledger: CallLedger) -> None:
    def one(number: int) -> None:
        call = entry(key=str(number))
        ledger.send(call).result()
        ledger.settle(done(call)).result()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(300)))
    assert [row.state for row in ledger.calls("run").result()] == ["done"] * 300


def test_what_waits_meanwhile_shares_a_commit(ledger: CallLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_r2.call_ledger import writer

    groups: list[int] = []
    commit = writer._commit

    def counting(db: sqlite3.Connection, group: list[Any], path: str) -> None:
        groups.append(len(group))
        commit(db, group, path)

    monkeypatch.setattr(writer, "_commit", counting)
    started, hold = threading.Event(), threading.Event()

    def held(db: sqlite3.Connection) -> bool:
        started.set()
        return hold.wait(30)

    first = ledger._writer.submit(held)
    assert started.wait(30)
    rest = [ledger.send(entry(key=str(number))) for number in range(50)]
    hold.set()
    assert first.result()
    assert [future.result() for future in rest] == [None] * 50
    assert groups == [1, 50]


async def test_a_cancelled_task_does_not_take_back_what_is_to_be_written(ledger: CallLedger) -> None:
    hold = threading.Event()
    ledger._writer.submit(lambda db: hold.wait(30))
    task = asyncio.create_task(arun(committed(ledger.send, entry())))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()
    assert [row.state for row in await arun(committed(ledger.calls, "run"))] == ["sent"]


def test_what_cannot_be_written_spoils_nothing_else(ledger: CallLedger) -> None:
    hold = threading.Event()
    ledger._writer.submit(lambda db: hold.wait(30))
    bad = ledger.admit("t", {"query": object()}, {})
    good = ledger.admit("t", ASKED, {})
    hold.set()
    assert good.result().resumed is False
    with pytest.raises(LedgerError, match="not JSON serializable"):
        bad.result()


def test_a_failing_disk_is_told_to_all_and_the_thread_goes_on(ledger: CallLedger) -> None:
    def broken(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk full")

    hold = threading.Event()
    ledger._writer.submit(lambda db: hold.wait(30))
    beside, broke = ledger.send(entry()), ledger._writer.submit(broken)
    hold.set()
    for future in (beside, broke):
        with pytest.raises(LedgerError, match="disk full"):
            future.result()
    assert ledger.calls("run").result() == []
    ledger.send(entry()).result()
    assert ledger.calls("run").result() == [entry()]


def test_a_closed_ledger_refuses(path: Path) -> None:
    ledger = CallLedger(path)
    pending = ledger.send(entry())
    ledger.close()
    ledger.close()
    assert pending.done()
    with pytest.raises(LedgerError, match="it was closed"):
        ledger.send(entry())


def test_only_a_ledger_of_this_version_is_opened(path: Path, tmp_path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (a)")
    db.close()
    with pytest.raises(BadValueError, match="It holds something else"):
        CallLedger(path)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at " * 30)
    with pytest.raises(BadValueError, match="not a database"):
        CallLedger(text)
    newer = tmp_path / "newer.db"
    CallLedger(newer).close()
    with sqlite3.connect(newer) as db:
        db.execute(f"PRAGMA user_version = {tables.VERSION + 1}")
    db.close()
    with pytest.raises(BadValueError, match=f"have version {tables.VERSION + 1}"):
        CallLedger(newer)
    with pytest.raises(BadValueError, match="a file that can be written"):
        CallLedger(tmp_path / "no folder" / "calls.db")


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_nobody_else_may_read_it(path: Path, ledger: CallLedger) -> None:
    ledger.admit("t", ASKED, {}).result()
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_writes_on_a_connection_of_its_own(ledger: CallLedger) -> None:
    import warnings

    ledger.send(entry(key="before")).result()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork with threads
        child = os.fork()
    if child == 0:
        try:
            ledger.settle(done(entry(key="before"))).result(30)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [row.state for row in ledger.calls("run").result()] == ["done"]
