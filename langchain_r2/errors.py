"""The exceptions of this library.

::

    R2Error
    +-- ConfigurationError (ValueError)        wrong use: nothing was called, nothing was billed
    |   +-- BadValueError                      a value that is not allowed
    |   +-- PoolFileError                      a pool file that cannot be read or has wrong contents
    |   +-- UnknownModelError (LookupError)    a model name that the pool does not have
    |   +-- MissingPriceError                  a pool model without a stated price
    |   +-- MissingExtraError (ImportError)    a package that only an extra installs
    |   +-- UnknownThreadError (LookupError)   a thread that has nothing to resume
    |   +-- SandboxError                       code of models cannot be run contained: it was not run
    +-- ModelCallError                         one call of a model went wrong
    |   +-- UnreachableError (ConnectionError)    no connection, a server error, or too many requests
    |   |   +-- CircuitOpenError                not sent: the model failed too often just before
    |   +-- RejectedError                      the endpoint refused the request: it will refuse it again
    |   +-- InvalidReplyError                  a reply that is not whole or not sane
    |   +-- DeadlineError (TimeoutError)       no whole reply within the time allowed
    |   +-- LostReplyError                     sent by a process that died before it had a reply
    |   +-- BrokenOffError                     a reply that ended after its first words had been passed on
    +-- NoAnswerError                          a chat model's run ended without an answer
    +-- BudgetError                            the next call could cost more than the budget has left
    +-- CheckpointError (ValueError)           stored data that is not what our graph stores: nothing of it was built
    +-- LedgerError                            a call ledger could not be written: nothing was sent or shown

Catch ``ConfigurationError`` to report wrong use. A failed model call never escapes from a run: it is recorded as an
``Attempt`` with its error and feeds the upward edge. ``BudgetError`` ends a run with the status ``budget_exhausted``.
Every exception can be pickled.
"""

import pickle
from collections.abc import Iterable
from typing import Any


class R2Error(Exception):
    """Root of all exceptions that this library raises on purpose."""


class ConfigurationError(R2Error, ValueError):
    """Wrong use, found before anything was called or billed."""


class BadValueError(ConfigurationError):
    """A value that is not allowed."""

    def __init__(self, name: str, value: object, allowed: object = "", hint: str = "") -> None:
        """State what was wrong.

        Args:
            name: Name of the setting or argument.
            value: The value that it had.
            allowed: What is allowed: a sentence, or the allowed values.
            hint: What to do.
        """
        self.name, self.value, self.hint = name, value, hint
        self.allowed = (
            allowed if isinstance(allowed, (str, int)) or not isinstance(allowed, Iterable) else tuple(allowed)
        )
        shown = f"{value!r}"[:200]
        msg = f"{name} is {shown}; allowed: {_listed(allowed)}." if allowed else f"{name} is {shown}."
        super().__init__(f"{msg} {hint}".strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        try:
            pickle.dumps(self.value)
            value = self.value
        except Exception:  # noqa: BLE001 - whatever the value's own code raises
            value = Shown(repr(self.value))
        return type(self), (self.name, value, self.allowed, self.hint)


class Shown(str):
    """Words in place of a value: ``Shown("not set")``, or the repr of one that cannot be pickled."""

    def __repr__(self) -> str:
        """Itself, without quotes."""
        return str(self)


class PoolFileError(ConfigurationError):
    """A pool file that cannot be read or has wrong contents."""

    def __init__(self, path: str, problem: str, hint: str = "") -> None:
        """State the file, what is wrong in it, and what to do."""
        self.path, self.problem, self.hint = path, problem, hint
        super().__init__(f"pool file {path!r}: {problem}. {hint}".strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.path, self.problem, self.hint)


class UnknownModelError(ConfigurationError, LookupError):
    """A model name that the pool does not have."""

    def __init__(self, model: str, known: Iterable[str]) -> None:
        """State the name and the names that exist."""
        self.model, self.known = model, tuple(known)
        super().__init__(f"the pool has no model {model!r:.200}; it has: {_listed(self.known)}.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.model, self.known)


class MissingPriceError(ConfigurationError):
    """A pool model without a stated price."""

    def __init__(self, model: str, field: str) -> None:
        """State which model and which price."""
        self.model, self.field = model, field
        super().__init__(
            f"model {model!r} has no {field}. Give USD per million tokens, or state that it is unknown: "
            f'{field} = "unknown" in TOML, None in Python (its calls then have an unknown cost, never 0).'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.model, self.field)


class MissingExtraError(ConfigurationError, ImportError):
    """A package that only an extra installs."""

    def __init__(self, feature: str, extra: str) -> None:
        """State what needs it and how to install it."""
        self.feature, self.extra = feature, extra
        super().__init__(f'{feature} needs packages that are not installed: pip install "langchain-r2[{extra}]"')

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.feature, self.extra)


class UnknownThreadError(ConfigurationError, LookupError):
    """A thread that has nothing to resume."""

    def __init__(self, thread_id: str) -> None:
        """State the thread, and where was looked for it."""
        self.thread_id = thread_id
        super().__init__(
            f"thread {thread_id!r:.200} has no run: neither the graph's checkpointer nor its call ledger knows it. "
            "Invoke the graph with a query and this thread_id first."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.thread_id,)


class SandboxError(ConfigurationError):
    """Code that a model wrote cannot be run contained, so it was not run, or nothing is known of how it ended."""

    def __init__(self, problem: str, hint: str = "") -> None:
        """State what is wrong, and what to do."""
        self.problem, self.hint = problem, hint
        super().__init__(f"{problem}. {hint}".strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.problem, self.hint)


class ModelCallError(R2Error):
    """One call of a model went wrong."""

    may_pass: bool = False
    """Whether the same request may succeed when it is sent again."""
    may_be_billed: bool = False
    """Whether a reply may have been generated, and charged, although none was received whole."""
    retry_after_s: float | None = None
    """How long the endpoint asks to wait."""


class UnreachableError(ModelCallError, ConnectionError):
    """No connection, a server error, or too many requests: another try may succeed."""

    may_pass = True


class CircuitOpenError(UnreachableError):
    """Nothing was sent: the model failed several times in a row just before, and is left alone for a while."""

    may_pass = False


class RejectedError(ModelCallError):
    """The endpoint refused the request (authentication, bad request, content): it will refuse it again."""


class InvalidReplyError(ModelCallError):
    """A reply that is not whole or not sane: no text, no usage, usage that cannot be."""

    may_be_billed = True


class DeadlineError(ModelCallError, TimeoutError):
    """No whole reply within the time allowed."""

    may_be_billed = True


class LostReplyError(ModelCallError):
    """A call that was sent by a process that died before it had the reply: it may have been billed."""

    may_pass = True
    may_be_billed = True


class BrokenOffError(ModelCallError):
    """A reply that ended after its first words had been passed on: they cannot be taken back, so no try follows."""

    may_be_billed = True


class NoAnswerError(R2Error):
    """A run of ``ChatR2`` ended without an answer."""

    def __init__(self, status: str, problem: str, cost_usd: float | None) -> None:
        """State how it ended (a ``Status``), what went wrong, and what it cost all the same."""
        self.status, self.problem, self.cost_usd = status, problem, cost_usd
        spent = "unknown" if cost_usd is None else f"{cost_usd:.3g}"
        super().__init__(f"no answer, status {status!r}: {problem:.2000}. It cost {spent} USD.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.status, self.problem, self.cost_usd)


class LedgerError(R2Error):
    """The call ledger could not be read or written, so nothing was sent, or nothing shown."""

    def __init__(self, path: str, problem: str, hint: str = "") -> None:
        """State the file, what went wrong, and what to do."""
        self.path, self.problem, self.hint = path, problem, hint
        super().__init__(f"call ledger {path!r}: {problem}. {hint}".strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.path, self.problem, self.hint)


class BudgetError(R2Error):
    """The next call could cost more than the budget has left; it was not made."""

    def __init__(self, needed: float, left: float, unit: str = "USD") -> None:
        """State what the call could need and what is left, in USD, tokens or seconds (``s``)."""
        self.needed, self.left, self.unit = needed, left, unit
        what = "the time of the run is over" if unit == "s" else f"the next call may cost up to {needed:.3g} {unit}"
        super().__init__(f"{what}; the budget has {left:.3g} {unit} left")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.needed, self.left, self.unit)


class CheckpointError(R2Error, ValueError):
    """Stored data that is not what our graph stores: damaged, forged, or written by something else."""

    def __init__(self, problem: str) -> None:
        """State what was found."""
        self.problem = problem
        hint = "Nothing of it was built or run. Start the thread anew, or name types of your own in StrictSerializer."
        super().__init__(f"the checkpoint holds {problem}. {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments."""
        return type(self), (self.problem,)


def _listed(allowed: object) -> str:
    if isinstance(allowed, str):
        return allowed
    values = [str(a) for a in allowed] if isinstance(allowed, Iterable) else [str(allowed)]
    return ", ".join(values[:20]) + (f" and {len(values) - 20} more" if len(values) > 20 else "")
