"""What a call ledger holds, and what a store of one has to do."""

from concurrent.futures import Future
from typing import Any, Literal, NamedTuple, Protocol

RunState = Literal["open", "done"]
"""``open``: admitted, no result yet. ``done``: it has its result."""

CallState = Literal["sent", "done", "failed", "lost"]
"""``sent``: under way. ``done``, ``failed``: settled. ``lost``: sent by a process that died before it had a reply."""

Action = Literal["send", "wait", "replay", "lost"]
"""What to do about a try: send it, wait for the same one under way, take its outcome from the ledger, or take it as
lost and try once more."""


class Admission(NamedTuple):
    """A run that may begin, or go on."""

    run_id: str
    resumed: bool
    """Whether it had begun before."""


class Run(NamedTuple):
    """A run as the ledger has it."""

    run_id: str
    thread_id: str | None
    state: RunState
    input: dict[str, Any]
    """What it was asked."""
    context: dict[str, Any]
    """Its limits, as fields of ``R2Context``."""
    result: dict[str, Any] | None
    """What it gave; None while it is open."""
    admitted_at: float
    """Seconds since 1970."""


class CallEntry(NamedTuple):
    """One try of one call. A run, a key and a try's number name it."""

    run_id: str
    key: str
    try_number: int
    role: str
    model: str
    subtask_id: str | None
    worst_usd: float | None
    """What the try costs at most; None where the model's price is unknown."""
    worst_tokens: int = 0
    """How many tokens it takes at most, read and written."""
    state: CallState = "sent"
    cost_usd: float | None = None
    tokens: int | None = None
    """Tokens that it took, read and written; None while that is open."""
    reply: dict[str, Any] | None = None
    attempt: dict[str, Any] | None = None
    """The try's row in the trace."""
    error: str | None = None

    @property
    def name(self) -> tuple[str, str, int]:
        """What tells it from all others."""
        return self.run_id, self.key, self.try_number


class Found(NamedTuple):
    """What a ledger says about a try that is about to be made."""

    action: Action
    entry: CallEntry


class Spent(NamedTuple):
    """What the calls of a run came to; those without a reply count at their bound."""

    cost_usd: float
    tokens: int


class CallLedgerStore(Protocol):
    """A store of runs and calls. Every method returns at once; its future ends when what it wrote cannot be lost.

    Calls take effect in the order in which they were made, also where nobody waits for them.
    """

    def admit(self, thread_id: str | None, asked: dict[str, Any], context: dict[str, Any]) -> Future[Admission]:
        """Admit a run: the thread's newest, if it is open and was asked the same; else a new one."""
        ...

    def begin(self, entry: CallEntry) -> Future[Found]:
        """Look a try up; one that is unknown is written down as ``sent`` and is the caller's to send."""
        ...

    def end(self, entry: CallEntry) -> Future[None]:
        """Settle a try that was begun."""
        ...

    def release(self, entry: CallEntry, *, sent: bool) -> Future[None]:
        """Let go of a try that was begun and has no outcome; without ``sent`` it is as if it had never been."""
        ...

    def finish(self, run_id: str, result: dict[str, Any]) -> Future[None]:
        """Keep a run's result."""
        ...

    def reopen(self, run_id: str) -> Future[None]:
        """Open a run again whose result did not reach its thread."""
        ...

    def newest(self, thread_id: str) -> Future[Run | None]:
        """The thread's newest run."""
        ...

    def run(self, run_id: str) -> Future[Run | None]:
        """A run by its id."""
        ...

    def spent(self, run_id: str) -> Future[Spent]:
        """What a run's calls came to so far."""
        ...
