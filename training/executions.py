"""Executions that are made once: a transport that keeps every reply, and replays those that are given to it.

What a plan *costs* is the full price of its calls, whether they were made now or earlier; what was really *spent* is
what was sent. So that both can be said, a reply is kept below the prompts and above the chat models, in the transport:
parsing, billing, budgets and decisions stay the library's, and a kept reply costs no model time.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from langchain_r2.flow import Flow, Signal
from langchain_r2.ledger import add_costs
from langchain_r2.model_spec import ModelSpec
from langchain_r2.transport import Call, Outcome, Reply, Transport
from langchain_r2.transport.bounds import bounds, longest_reply
from langchain_r2.transport.replies import attempt_row
from langchain_r2.types import Attempt

_WEIGHTS: Final = ("*.safetensors", "config.json", "adapter_config.json", "tokenizer.json")


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

    def as_json(self) -> str:
        """As one line."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, line: str) -> "Stored":
        """From such a line."""
        row = json.loads(line)
        if row["token_logprobs"] is not None:
            row["token_logprobs"] = tuple(row["token_logprobs"])
        return cls(**row | {"alternatives": tuple(row["alternatives"])})


REPLAYED: Final[ContextVar[Mapping[str, Stored]]] = ContextVar("r2_replayed")
"""By role, what a router's call about the whole query is answered with in this context, instead of asking its model."""
REPETITION: Final[ContextVar[int]] = ContextVar("r2_repetition", default=0)
"""Which of several equal runs this is: with models that sample, each has executions of its own."""


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


class CachedTransport(Transport):
    """A transport whose calls are made once per model, prompt and sampling settings."""

    def __init__(self, cache: ExecutionCache, **settings: Any) -> None:
        """Take the cache, and the settings of :class:`~langchain_r2.transport.Transport`."""
        super().__init__(**settings)
        self.cache = cache
        self._models: dict[int, tuple[ModelSpec, str]] = {}
        self._under_way: set[str] = set()
        self._changed = Signal()

    def call(self, call: Call) -> Flow[Outcome]:
        """Answer from what is replayed or kept, else make the call and keep its reply.

        Raises:
            BudgetError: The budget cannot pay for it, kept or not.
            ConfigurationError: The model cannot be built.
        """
        if call.turn is not None:  # conversations have tools and streams: they are not kept
            return (yield from super().call(call))
        replayed = REPLAYED.get({}).get(call.role) if call.subtask_id is None and call.ordinal == 0 else None
        if replayed is not None:
            return (yield from _answered(call, replayed))
        key = self._key(call)
        while True:
            seen = self._changed.count
            kept = self.cache.get(key)
            if kept is not None:
                with self.cache.lock:
                    self.cache.spending.calls += 1
                return (yield from _answered(call, kept))
            with self.cache.lock:
                ours = key not in self._under_way
                self._under_way.add(key)
            if ours:
                return (yield from self._sent(call, key))
            yield self._changed.after(seen)  # the same call is under way: its reply will do

    def _sent(self, call: Call, key: str) -> Flow[Outcome]:
        try:
            outcome = yield from super().call(call)
            self._count(outcome.attempts)
            if outcome.reply is None:
                return outcome
            row = outcome.attempts[-1]
            self.cache.put(key, call.spec.name, _stored(outcome.reply, row))
            # Tries that failed before are spent, but no part of what the plan costs: it costs the same from the cache.
            return Outcome(outcome.reply, None, [row])
        finally:
            with self.cache.lock:
                self._under_way.discard(key)
            self._changed.notify()

    def _count(self, attempts: list[Attempt]) -> None:
        with self.cache.lock:
            spending = self.cache.spending
            spending.calls += 1
            spending.sent += 1
            for row in attempts:
                spending.spent_usd = add_costs(spending.spent_usd, row["cost_usd"])
                spending.input_tokens += row["input_tokens"]
                spending.output_tokens += row["output_tokens"]

    def _key(self, call: Call) -> str:
        known = self._models.get(id(call.spec))
        if known is None:
            known = self._models.setdefault(id(call.spec), (call.spec, model_hash(call.spec)))
        asked = [call.prompt.system, call.prompt.user, list(call.prompt.chat), call.schema]
        sampling = [call.temperature, call.seed, call.top_logprobs, call.ordinal, REPETITION.get()]
        text = json.dumps([known[1], asked, sampling, longest_reply(call.spec)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _answered(call: Call, kept: Stored) -> Flow[Outcome]:
    """A call that needs no model: reserved, billed and written down as if it had been made."""
    most = bounds(call.spec, call.prompt, call.schema)
    held = yield from call.budget.reserved(call.spec.price.cost_usd(*most), sum(most))
    reply = Reply(kept.text, kept.finish_reason, kept.token_logprobs, kept.alternatives)
    row = attempt_row(call, _message(kept), reply, None, bounds=None, reservation=held, wall_s=kept.wall_s)
    call.budget.settle(held, row["cost_usd"], kept.input_tokens + kept.output_tokens)
    return Outcome(reply, None, [row])


def _message(kept: Stored) -> AIMessage:
    usage = UsageMetadata(
        input_tokens=kept.input_tokens,
        output_tokens=kept.output_tokens,
        total_tokens=kept.input_tokens + kept.output_tokens,
        input_token_details=InputTokenDetails(cache_read=kept.cached_input_tokens),
    )
    return AIMessage(kept.text, usage_metadata=usage)


def _stored(reply: Reply, row: Attempt) -> Stored:
    return Stored(
        text=reply.text,
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        finish_reason=reply.finish_reason,
        token_logprobs=reply.token_logprobs,
        alternatives=reply.alternatives,
        wall_s=row["wall_s"],
    )


def model_hash(spec: ModelSpec) -> str:
    """What a model is: its name, address and settings, and the weights of one that runs here. Not where they lie."""
    facts: list[Any] = [spec.name, spec.base_url, spec.prompt_style]
    if isinstance(spec.model, BaseChatModel):
        known = {k: v for k, v in spec.model._identifying_params.items() if k not in {"folder", "path", "adapter"}}
        facts += [type(spec.model).__name__, known, getattr(spec.model, "seed", None)]
        places = [getattr(spec.model, name, None) for name in ("folder", "path", "adapter")]
        facts += [_weights_hash(Path(place)) if place else None for place in places]
    else:
        facts.append(spec.model)
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _weights_hash(folder: Path) -> str:
    """Of what is in a folder; of a model that is not here, its id."""
    if not folder.is_dir():
        return str(folder)
    digest = hashlib.sha256()
    for file in sorted(found for pattern in _WEIGHTS for found in folder.glob(pattern)):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
