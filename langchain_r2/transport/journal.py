"""A call's side of the call ledger: what was made before is not made again, what is made is written down first."""

import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any, cast

from langchain_r2 import errors
from langchain_r2.call_ledger import CallEntry, CallLedgerStore, committed
from langchain_r2.errors import LostReplyError, ModelCallError
from langchain_r2.flow import POLL_S, Flow, Sleep
from langchain_r2.ledger import Reservation
from langchain_r2.transport.bounds import bounds
from langchain_r2.transport.call import Call, Outcome, Reply
from langchain_r2.transport.replies import attempt_row
from langchain_r2.types import Attempt


class Journal:
    """The tries of one call of a run, past and coming."""

    def __init__(self, store: CallLedgerStore, call: Call, run_id: str) -> None:
        """Name the call."""
        self._store, self._call, self._run_id, self._key = store, call, run_id, key_of(call)
        self._owner = uuid.uuid4().hex
        self._entry: CallEntry | None = None
        self._number = 0
        self.attempts: list[Attempt] = []
        """The tries that were made before, as they were then."""
        self.tries = 0
        """How many of them count against the number of tries allowed; for a lost one, one more is made."""
        self.error: ModelCallError | None = None
        """What the last of them ended with."""

    def recall(self) -> Flow[Outcome | None]:
        """What came of the call, where that is known: nothing is sent then. None where tries are left to make."""
        while (past := (yield from committed(self._store.recall, self._run_id, self._key, self._owner))) is None:
            yield Sleep(POLL_S)  # the same call is under way: its outcome will do
        self._number, self.tries = len(past), sum(entry.state != "lost" for entry in past)
        self.attempts = [_attempt(self._call, entry) for entry in past]
        if not past:
            return None
        last, reply = past[-1], past[-1].reply
        if last.state == "done" and reply is not None:
            return Outcome(_reply(reply), None, self.attempts)
        self.error = _error(last)
        return Outcome(None, self.error, self.attempts) if last.last else None

    def sending(self, worst_usd: float | None) -> Flow[None]:
        """Write a try down that is about to be sent, and what it costs at most."""
        call = self._call
        worst_tokens = sum(bounds(call.spec, call.prompt, call.schema, call.turn))
        names = (self._run_id, self._key, self._number, call.role, call.spec.name, call.subtask_id)
        entry, written = CallEntry(*names, worst_usd, worst_tokens), False
        self._number += 1
        try:
            yield from committed(self._store.send, entry)
            self._entry, written = entry, True
        finally:
            if not written:  # cancelled meanwhile
                self._store.withdraw(entry)

    def settled(
        self, reply: Reply | None, error: ModelCallError | None, attempt: Attempt, tokens: int | None
    ) -> Flow[None]:
        """Write down how the try ended, and wait for it: nobody sees a reply before."""
        if self._entry is None:
            return  # it was not sent
        ended = self._entry._replace(
            state="failed" if reply is None else "done",
            cost_usd=attempt["cost_usd"],
            tokens=tokens,
            reply=None if reply is None else reply._asdict(),
            attempt=dict(attempt),
            error=None if error is None else str(error),
            last=error is not None and not error.may_pass,
        )
        self._entry = None
        yield from committed(self._store.settle, ended)

    def release(self, *, failed: bool) -> None:
        """Let go of the call, whatever happened; nobody has to wait for that."""
        self._store.release(self._run_id, self._key, self._owner, failed=failed)


def key_of(call: Call) -> str:
    """What tells a call from all others of its run: who asks which model what, and how."""
    spec, prompt = call.spec, call.prompt
    settings = (call.temperature, call.seed, call.top_logprobs, spec.max_output_tokens, call.ordinal)
    parts: list[Any] = [call.role, call.subtask_id, spec.name, prompt.system, prompt.user, settings, call.schema]
    if call.turn is not None:
        parts += [[dict(message) for message in prompt.chat], {**call.turn, "messages": [], "stream": "no"}]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _reply(kept: dict[str, Any]) -> Reply:
    logprobs: Iterable[float] | None = kept["token_logprobs"]
    alternatives = tuple(kept["alternatives"])
    shown = None if logprobs is None else tuple(logprobs)
    return Reply(kept["text"], kept["finish_reason"], shown, alternatives, kept.get("message"))


def _error(entry: CallEntry) -> ModelCallError:
    """The error of a failed try again, of its type where that can be made of a text."""
    if entry.state == "lost":
        return LostReplyError("the process that sent it ended before it had the reply; charged in full")
    kind = getattr(errors, str((entry.attempt or {}).get("error_type")), None)
    if not (isinstance(kind, type) and issubclass(kind, ModelCallError)):
        kind = ModelCallError
    return kind(entry.error or "")


def _attempt(call: Call, entry: CallEntry) -> Attempt:
    if entry.attempt is not None:
        return cast("Attempt", dict(entry.attempt))
    row = attempt_row(
        call, None, None, _error(entry), bounds=None, reservation=Reservation(entry.cost_usd or 0.0), wall_s=0.0
    )
    del row["started_at"]  # that was lost too
    return row
