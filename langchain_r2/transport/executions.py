"""Executions that are kept: replies of models by what was asked, in an SQLite file, and what was spent on them."""

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple


class Stored(NamedTuple):
    """A reply as it is kept: what a model wrote, how sure it was of it, and the usage it is billed by."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    finish_reason: str | None = "stop"
    token_logprobs: tuple[float, ...] | None = None
    alternatives: tuple[Mapping[str, float], ...] = ()
    wall_s: float = 0.0
    failed: tuple[Mapping[str, Any], ...] = ()
    """Tries that failed before it came, where they are kept."""

    def as_json(self) -> str:
        """As one line."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, line: str) -> "Stored":
        """From such a line."""
        row = json.loads(line)
        if row["token_logprobs"] is not None:
            row["token_logprobs"] = tuple(row["token_logprobs"])
        return cls(**row | {name: tuple(row.get(name, ())) for name in ("alternatives", "failed")})


@dataclass
class Spending:
    """What calls took, by what was asked for and by what was sent."""

    calls: int = 0
    """Asked for."""
    sent: int = 0
    """Not answered from the cache."""
    spent_usd: float | None = 0.0
    """Of those sent, failed tries too; None: a price was unknown."""
    input_tokens: int = 0
    """Of those sent."""
    output_tokens: int = 0

    def __sub__(self, before: "Spending") -> "Spending":
        """What came after an earlier reading."""
        unknown = self.spent_usd is None or before.spent_usd is None
        usd = None if unknown else (self.spent_usd or 0.0) - (before.spent_usd or 0.0)
        counts = {
            f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self) if f.name != "spent_usd"
        }
        return Spending(**counts, spent_usd=usd)

    def now(self) -> "Spending":
        """A reading."""
        return Spending(**asdict(self))


class ExecutionCache:
    """Replies by what was asked, in an SQLite file; safe to use from threads, event loops and several processes."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Open the file, or make it."""
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path = str(path)
        self.spending = Spending()
        self.lock = threading.Lock()
        self._known: dict[str, Stored] = {}
        # A reply is written when it has come: a kill loses none. No wait for the disk, so a power cut may.
        self._rows = sqlite3.connect(self.path, timeout=60.0, isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=NORMAL")
        self._rows.execute("CREATE TABLE IF NOT EXISTS executions (key TEXT PRIMARY KEY, model TEXT, reply TEXT)")

    def count(self) -> int:
        """How many replies are kept."""
        with self.lock:
            return int(self._rows.execute("SELECT COUNT(*) FROM executions").fetchone()[0])

    def get(self, key: str) -> Stored | None:
        """The reply kept under a key."""
        known = self._known.get(key)
        if known is not None:
            return known
        with self.lock:
            row = self._rows.execute("SELECT reply FROM executions WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return self._known.setdefault(key, Stored.from_json(row[0]))

    def put(self, key: str, model: str, reply: Stored) -> None:
        """Keep a reply; the first one counts."""
        with self.lock:
            self._rows.execute("INSERT OR IGNORE INTO executions VALUES (?, ?, ?)", (key, model, reply.as_json()))
        self._known.setdefault(key, reply)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()
