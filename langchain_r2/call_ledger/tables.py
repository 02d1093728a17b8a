"""The tables of a call ledger in SQLite, and every statement on them."""

import json
import sqlite3
import time
import uuid
from typing import Any, Final

from langchain_r2.call_ledger.base import Admission, CallEntry, Run, Spent
from langchain_r2.errors import BadValueError

VERSION: Final = 1
"""Of the tables; in the file's ``user_version``."""
APPLICATION: Final = 0x72324C31
"""In the file's ``application_id``: another program's database is not written to."""

_TABLES: Final = (
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        thread_id TEXT,
        state TEXT NOT NULL CHECK (state IN ('open', 'done')),
        input TEXT NOT NULL,
        context TEXT NOT NULL,
        result TEXT,
        admitted_at REAL NOT NULL,
        ended_at REAL
    )""",
    "CREATE INDEX runs_of_thread ON runs (thread_id, number)",
    """CREATE TABLE calls (
        run_id TEXT NOT NULL,
        key TEXT NOT NULL,
        try_number INTEGER NOT NULL,
        role TEXT NOT NULL,
        model TEXT NOT NULL,
        subtask_id TEXT,
        worst_usd REAL,
        worst_tokens INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sent', 'done', 'failed', 'lost')),
        cost_usd REAL,
        tokens INTEGER,
        reply TEXT,
        attempt TEXT,
        error TEXT,
        last INTEGER NOT NULL,
        sent_at REAL NOT NULL,
        ended_at REAL,
        PRIMARY KEY (run_id, key, try_number)
    )""",
)
_RUN: Final = "run_id, thread_id, state, input, context, result, admitted_at"
_CALL: Final = ", ".join(CallEntry._fields)
_NAMED: Final = "run_id = ? AND key = ? AND try_number = ?"


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables in a new file; check those of an old one.

    Raises:
        BadValueError: The file is another program's, or another version's.
    """
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) == (APPLICATION, VERSION):
        return
    if application or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        hint = f"Its tables have version {version}." if application == APPLICATION else "It holds something else."
        raise BadValueError(
            "tables", (application, version), f"a new file, or a call ledger of version {VERSION}", hint
        )
    for statement in _TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def admit(db: sqlite3.Connection, thread_id: str | None, asked: dict[str, Any], context: dict[str, Any]) -> Admission:
    """Admit a run; see ``CallLedgerStore.admit``."""
    limits = _json(context)
    known = newest(db, thread_id) if thread_id is not None else None
    if known is not None and known.state == "open" and known.input == json.loads(_json(asked)):
        db.execute("UPDATE runs SET context = ? WHERE run_id = ?", (limits, known.run_id))
        return Admission(known.run_id, resumed=True)
    run_id = uuid.uuid4().hex
    db.execute(
        "INSERT INTO runs (run_id, thread_id, state, input, context, admitted_at) VALUES (?, ?, 'open', ?, ?, ?)",
        (run_id, thread_id, _json(asked), limits, time.time()),
    )
    return Admission(run_id, resumed=False)


def insert(db: sqlite3.Connection, entry: CallEntry) -> None:
    """Write a try down as it is."""
    marks = ", ".join("?" * (len(entry) + 1))
    db.execute(f"INSERT INTO calls ({_CALL}, sent_at) VALUES ({marks})", (*_row(entry), time.time()))  # noqa: S608


def settle(db: sqlite3.Connection, entry: CallEntry) -> None:
    """Write down how a try ended."""
    values = (
        entry.state,
        entry.cost_usd,
        entry.tokens,
        _json(entry.reply),
        _json(entry.attempt),
        entry.error,
        entry.last,
    )
    columns = "state = ?, cost_usd = ?, tokens = ?, reply = ?, attempt = ?, error = ?, last = ?, ended_at = ?"
    db.execute(f"UPDATE calls SET {columns} WHERE {_NAMED}", (*values, time.time(), *entry.name))  # noqa: S608


def tries(db: sqlite3.Connection, run_id: str, key: str) -> list[CallEntry]:
    """The tries of a call, in order; those without an outcome are lost, which is written down and charged in full."""
    columns = "state = 'lost', cost_usd = worst_usd, tokens = worst_tokens, ended_at = ?"
    of = "run_id = ? AND key = ?"
    db.execute(f"UPDATE calls SET {columns} WHERE {of} AND state = 'sent'", (time.time(), run_id, key))  # noqa: S608
    rows = db.execute(f"SELECT {_CALL} FROM calls WHERE {of} ORDER BY try_number", (run_id, key))  # noqa: S608
    return [_entry(row) for row in rows]


def give_up(db: sqlite3.Connection, run_id: str, key: str) -> None:
    """Note that a call was given up after its last try."""
    of = "run_id = ? AND key = ?"
    newest = f"SELECT max(try_number) FROM calls WHERE {of}"  # noqa: S608 - our own columns
    statement = f"UPDATE calls SET last = 1 WHERE {of} AND try_number = ({newest})"  # noqa: S608
    db.execute(statement, (run_id, key, run_id, key))


def delete(db: sqlite3.Connection, name: tuple[str, str, int]) -> None:
    """Take a try out that was never sent."""
    db.execute(f"DELETE FROM calls WHERE {_NAMED} AND state = 'sent'", name)  # noqa: S608 - our own columns


def calls(db: sqlite3.Connection, run_id: str) -> list[CallEntry]:
    """All tries of a run, in the order in which they were begun."""
    order = "ORDER BY sent_at, rowid"
    rows = db.execute(f"SELECT {_CALL} FROM calls WHERE run_id = ? {order}", (run_id,))  # noqa: S608 - our own columns
    return [_entry(row) for row in rows]


def newest(db: sqlite3.Connection, thread_id: str) -> Run | None:
    """The newest run of a thread."""
    order = "ORDER BY number DESC LIMIT 1"
    return _one(db.execute(f"SELECT {_RUN} FROM runs WHERE thread_id = ? {order}", (thread_id,)))  # noqa: S608


def run(db: sqlite3.Connection, run_id: str) -> Run | None:
    """A run by its id."""
    return _one(db.execute(f"SELECT {_RUN} FROM runs WHERE run_id = ?", (run_id,)))  # noqa: S608


def open_runs(db: sqlite3.Connection) -> list[Run]:
    """Runs that are their thread's newest and have no result, oldest first."""
    last = "number IN (SELECT max(number) FROM runs WHERE thread_id IS NOT NULL GROUP BY thread_id)"
    rows = db.execute(f"SELECT {_RUN} FROM runs WHERE state = 'open' AND {last} ORDER BY number")  # noqa: S608
    return [_run(row) for row in rows]


def finish(db: sqlite3.Connection, run_id: str, result: dict[str, Any]) -> None:
    """Keep a run's result."""
    statement = "UPDATE runs SET state = 'done', result = ?, ended_at = ? WHERE run_id = ?"
    db.execute(statement, (_json(result), time.time(), run_id))


def reopen(db: sqlite3.Connection, run_id: str) -> None:
    """Open a run again."""
    db.execute("UPDATE runs SET state = 'open', result = NULL, ended_at = NULL WHERE run_id = ?", (run_id,))


def detach(db: sqlite3.Connection, prefix: str) -> None:
    """Take the runs of all threads that begin so off their threads; what they cost stays written down."""
    db.execute("UPDATE runs SET thread_id = NULL WHERE substr(thread_id, 1, ?) = ?", (len(prefix), prefix))


def spent(db: sqlite3.Connection, run_id: str) -> Spent:
    """What a run's calls came to."""
    usd, tokens = "coalesce(cost_usd, worst_usd, 0)", "coalesce(tokens, worst_tokens)"
    total = f"SELECT coalesce(sum({usd}), 0), coalesce(sum({tokens}), 0) FROM calls WHERE run_id = ?"  # noqa: S608
    row = db.execute(total, (run_id,)).fetchone()
    return Spent(float(row[0]), int(row[1]))


def _row(entry: CallEntry) -> tuple[Any, ...]:
    return tuple(entry._replace(reply=_json(entry.reply), attempt=_json(entry.attempt)))


def _entry(row: tuple[Any, ...]) -> CallEntry:
    entry = CallEntry(*row)
    return entry._replace(reply=_value(entry.reply), attempt=_value(entry.attempt), last=bool(entry.last))


def _one(rows: sqlite3.Cursor) -> Run | None:
    row = rows.fetchone()
    return None if row is None else _run(row)


def _run(row: tuple[Any, ...]) -> Run:
    run_id, thread_id, state, asked, context, result, admitted_at = row
    return Run(run_id, thread_id, state, json.loads(asked), json.loads(context), _value(result), admitted_at)


def _json(value: dict[str, Any] | None) -> Any:  # noqa: ANN401 - a text, or None for an absent value
    """ASCII: what a model wrote may be text that no encoding takes."""
    return None if value is None else json.dumps(value)


def _value(text: Any) -> Any:  # noqa: ANN401 - any JSON value
    return None if text is None else json.loads(text)
