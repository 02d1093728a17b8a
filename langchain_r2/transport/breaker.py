"""A circuit breaker: a model that fails several times in a row is left alone for a while.

*closed*: calls go out. After ``failures`` failures in a row: *open*, nothing goes out for ``open_s`` seconds, or for as
long as the endpoint asked for, whichever is longer. Then *half-open*: one call goes out as a probe, the others are
still refused; its success closes the circuit, its failure opens it again.
"""

import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from langchain_r2.errors import CircuitOpenError, DeadlineError, ModelCallError, UnreachableError


class Permit(NamedTuple):
    """A call that may go out."""

    era: int
    """How often the circuit had changed by then: what an older call brings says nothing about now."""
    probe: bool


class Breaker:
    """The circuit of one model; safe to use from threads and event loops."""

    def __init__(self, *, failures: int = 5, open_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Set after how many failures in a row it opens, and for how many seconds."""
        self.failures, self.open_s = failures, open_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._era = 0
        self._opened = False
        self._opens_until = 0.0
        self._asked_until = 0.0
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """Where it stands."""
        with self._lock:
            return "closed" if not self._opened else "open" if self._clock() < self._opens_until else "half-open"

    def enter(self, model: str) -> Permit:
        """Let a call out.

        Raises:
            CircuitOpenError: Not now.
        """
        with self._lock:
            if not self._opened:
                return Permit(self._era, probe=False)
            left = self._opens_until - self._clock()
            if left > 0 or self._probing:
                when = f"for {left:.3g} s more" if left > 0 else "until its probe has ended"
                raise CircuitOpenError(f"{model!r} failed {self.failures} times in a row; nothing is sent {when}")
            self._probing = True
            return Permit(self._era, probe=True)

    def leave(self, permit: Permit, error: ModelCallError | None, *, ended: bool = True) -> None:
        """Say what came of a call; ``ended=False``: it was cancelled, and says nothing."""
        failed = isinstance(error, (UnreachableError, DeadlineError))
        with self._lock:
            if failed and error is not None and error.retry_after_s:
                self._asked_until = max(self._asked_until, self._clock() + error.retry_after_s)
                if self._opened:  # the longest that was asked for, also by calls that were under way
                    self._opens_until = max(self._opens_until, self._asked_until)
            if permit.era != self._era:
                return
            if permit.probe:
                self._probing = False
            if not ended:
                return
            if not failed:
                self._failed, self._asked_until = 0, 0.0
                if self._opened:
                    self._opened, self._era = False, self._era + 1
                return
            self._failed += 1
            if permit.probe or self._failed >= self.failures:
                self._open()

    def _open(self) -> None:
        self._opened, self._failed, self._probing = True, 0, False
        self._era += 1
        self._opens_until = max(self._clock() + self.open_s, self._asked_until)
