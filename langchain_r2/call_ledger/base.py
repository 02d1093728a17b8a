"""What a call ledger holds, and what a store of one has to do."""

from concurrent.futures import Future
from typing import Any, Literal, NamedTuple, Protocol

RunState = Literal["open", "done"]
"""``open``: admitted, no result yet. ``done``: it has its result."""

CallState = Literal["sent", "done", "failed", "lost"]
"""``sent``: under way. ``done``, ``failed``: settled. ``lost``: sent by a process that died before it had a reply."""


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
    last: bool = False
    """Whether the call was given up after it."""

    @property
    def name(self) -> tuple[str, str, int]:
        """What tells it from all others."""
        return self.run_id, self.key, self.try_number


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

    def recall(self, run_id: str, key: str, owner: str) -> Future[list[CallEntry] | None]:
        """The tries of a call so far, which is ``owner``'s to make from now on, until ``release``.

        A try that was sent and has no outcome is lost: its process died, or gave it up. None: the same call is being
        made; ask again.
        """
        ...

    def send(self, entry: CallEntry) -> Future[None]:
        """Write a try down that is about to be sent."""
        ...

    def settle(self, entry: CallEntry) -> Future[None]:
        """Write down how a try ended."""
        ...

    def withdraw(self, entry: CallEntry) -> Future[None]:
        """Take a try out that was not sent after all."""
        ...

    def release(self, run_id: str, key: str, owner: str, *, failed: bool) -> Future[None]:
        """Let go of a call; with ``failed``, no more tries are to be made of it."""
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
