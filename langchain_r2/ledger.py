"""Who spent what: bills over attempts, and a hard budget by reserve-then-settle."""

import math
import threading
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow, Signal
from langchain_r2.types import ROUTER_ROLES, Attempt


class Bill(NamedTuple):
    """Costs of a run in USD. A cost is None where a price that it needs is stated to be unknown."""

    cost_usd: float | None
    by_role: dict[str, float | None]
    by_model: dict[str, float | None]
    calls: int
    input_tokens: int
    output_tokens: int

    @property
    def router_share(self) -> float | None:
        """Share of the bill that decomposing, allocating and evaluating took; None where it cannot be known."""
        parts = [cost for role, cost in self.by_role.items() if role in ROUTER_ROLES]
        known = [cost for cost in parts if cost is not None]
        if not self.cost_usd or len(known) < len(parts):
            return None
        return sum(known) / self.cost_usd

    def __str__(self) -> str:
        """As people read it: sums of floats have digits that mean nothing."""
        roles = "".join(f"; {role} {usd(cost)}" for role, cost in self.by_role.items())
        models = "".join(f"; {model} {usd(cost)}" for model, cost in self.by_model.items())
        tokens = f"{self.input_tokens} tokens in, {self.output_tokens} out"
        return f"{usd(self.cost_usd)} USD in {self.calls} calls, {tokens}{roles}{models}"


def bill(attempts: Iterable[Attempt]) -> Bill:
    """Add up the attempts of a run."""
    rows = list(attempts)
    by_role: dict[str, float | None] = {}
    by_model: dict[str, float | None] = {}
    for row in rows:
        by_role[row["role"]] = add_costs(by_role.get(row["role"], 0.0), row["cost_usd"])
        by_model[row["model"]] = add_costs(by_model.get(row["model"], 0.0), row["cost_usd"])
    total: float | None = 0.0
    for row in rows:
        total = add_costs(total, row["cost_usd"])
    tokens_in = sum(row["input_tokens"] for row in rows)
    return Bill(total, by_role, by_model, len(rows), tokens_in, sum(row["output_tokens"] for row in rows))


def add_costs(a: float | None, b: float | None) -> float | None:
    """Sum of two costs; unknown if one is."""
    return None if a is None or b is None else a + b


def usd(cost: float | None) -> str:
    """A cost with three digits that count, never in exponents."""
    if cost is None:
        return "unknown"
    digits = 2 - math.floor(math.log10(cost)) if cost > 0 and math.isfinite(cost) else 2
    return f"{cost:.{max(2, digits)}f}"


class Reservation(NamedTuple):
    """What was set aside for one call."""

    worst_usd: float
    worst_tokens: int = 0
    outer: "Reservation | None" = None
    """What the budget around this one set aside."""

    @property
    def bound_usd(self) -> float:
        """What the call is charged where its cost is not known; 0 where no budget limits USD."""
        return self.worst_usd or (self.outer.bound_usd if self.outer else 0.0)


_UNLIMITED: Final = Reservation(0.0)


class Budget:
    """A hard limit in USD, tokens and seconds, shared by all calls that it is given to.

    ``reserve`` sets the worst case of a call aside before it starts, ``settle`` replaces it by the real cost. Where a
    limit would be passed only because of other calls under way, ``reserve`` returns None and the caller asks again when
    one has settled; ``reserved`` does that. Safe to use from threads and tasks.
    """

    def __init__(
        self,
        limit_usd: float | None = None,
        spent_usd: float = 0.0,
        *,
        limit_tokens: int | None = None,
        spent_tokens: int = 0,
        limit_s: float | None = None,
        within: "Budget | None" = None,
    ) -> None:
        """Make a budget; None means no limit.

        Args:
            limit_usd: Most that its calls may cost.
            spent_usd: What was spent of it before.
            limit_tokens: Most tokens, read and written, of its calls.
            spent_tokens: What was spent of them before.
            limit_s: Seconds from now in which calls may start and run.
            within: Another budget that pays for the same calls.
        """
        self.limit_usd, self.limit_tokens, self.within = limit_usd, limit_tokens, within
        self._ends = None if limit_s is None else time.monotonic() + limit_s
        self._limited = (within is not None and within.limited) or (limit_usd, limit_tokens, limit_s) != (
            None,
            None,
            None,
        )
        self._spent, self._reserved = spent_usd, 0.0
        self._spent_tokens, self._reserved_tokens = spent_tokens, 0
        self.used = False
        """Whether a call was made under it."""
        self._lock = threading.Lock()
        self._changed: Signal = within._changed if within else Signal()

    def __repr__(self) -> str:
        """Limits and what is spent: a budget is passed along with a router's input, which traces show."""
        tokens = f", {self._spent_tokens} of {self.limit_tokens} tokens" if self.limit_tokens else ""
        return f"Budget({self._spent:.3g} of {self.limit_usd} USD{tokens})"

    @property
    def limited(self) -> bool:
        """Whether it has a limit, here or around."""
        return self._limited

    @property
    def spent_usd(self) -> float:
        """What settled calls cost."""
        return self._spent

    @property
    def spent_tokens(self) -> int:
        """Tokens of settled calls."""
        return self._spent_tokens

    @property
    def left_usd(self) -> float | None:
        """What is neither spent nor reserved, here and around; None without a limit."""
        with self._lock:
            own = None if self.limit_usd is None else self.limit_usd - self._spent - self._reserved
        around = self.within.left_usd if self.within else None
        return min((left for left in (own, around) if left is not None), default=None)

    @property
    def ends(self) -> float | None:
        """When its time is over, by ``time.monotonic``; None: never."""
        around = self.within.ends if self.within else None
        return min((at for at in (self._ends, around) if at is not None), default=None)

    def reserved(self, worst_usd: float | None, worst_tokens: int = 0) -> Flow[Reservation]:
        """Set aside what a call may need, waiting for others to settle where only they stand in the way.

        Raises:
            BudgetError: As ``reserve``.
        """
        while True:
            seen = self._changed.count
            held = self.reserve(worst_usd, worst_tokens)
            if held is not None:
                return held
            ends = self.ends
            yield self._changed.after(seen, None if ends is None else max(0.0, ends - time.monotonic()))

    def reserve(self, worst_usd: float | None, worst_tokens: int = 0) -> Reservation | None:
        """Set aside what a call may need; None means: wait until another call settles, then ask again.

        Args:
            worst_usd: What the call costs at most; None where its price is unknown.
            worst_tokens: What it reads and writes at most.

        Raises:
            BudgetError: The call could pass a limit, whatever the calls under way will cost, or the time is over.
        """
        self.used = True
        if not self._limited:
            return _UNLIMITED
        outer = None
        with self._lock:
            if not self._fits(worst_usd, worst_tokens):
                return None
        if self.within is not None:
            outer = self.within.reserve(worst_usd, worst_tokens)
            if outer is None:
                return None
        own: Reservation | None = None
        try:
            with self._lock:
                own = self._own(worst_usd, worst_tokens, outer)
        finally:
            if own is None and outer is not None and self.within is not None:
                self.within._release(outer)
        return own

    def _own(self, worst_usd: float | None, worst_tokens: int, outer: Reservation | None) -> Reservation | None:
        if not self._fits(worst_usd, worst_tokens):
            return None
        usd = float("inf") if worst_usd is None else worst_usd
        mine = Reservation(usd if self.limit_usd is not None else 0.0, worst_tokens, outer)
        self._reserved += mine.worst_usd
        self._reserved_tokens += worst_tokens
        return mine

    def _fits(self, worst_usd: float | None, worst_tokens: int) -> bool:
        if self._ends is not None and time.monotonic() >= self._ends:
            raise BudgetError(0.0, 0.0, "s")
        usd = float("inf") if worst_usd is None else worst_usd  # an unknown price cannot be paid from a limited budget
        waits = False
        for limit, spent, held, needed, unit in (
            (self.limit_usd, self._spent, self._reserved, usd, "USD"),
            (self.limit_tokens, self._spent_tokens, self._reserved_tokens, worst_tokens, "tokens"),
        ):
            if limit is None:
                continue
            if spent + needed > limit:
                raise BudgetError(needed, limit - spent, unit)
            waits = waits or spent + held + needed > limit
        return not waits

    def settle(self, reservation: Reservation, cost_usd: float | None, tokens: int | None = None) -> None:
        """Replace what was set aside by what the call did cost; what is unknown is charged at the worst case."""
        self._release(
            reservation,
            reservation.bound_usd if cost_usd is None else cost_usd,
            reservation.worst_tokens if tokens is None else tokens,
        )

    def charge(self, attempts: Iterable[Attempt]) -> None:
        """Count calls that were made without a reservation."""
        if not self._limited:
            return
        made = bill(attempts)
        unknown = float("inf") if self.limit_usd is not None else 0.0
        cost = unknown if made.cost_usd is None else made.cost_usd
        tokens = made.input_tokens + made.output_tokens
        with self._lock:
            self._spent += cost
            self._spent_tokens += tokens
        if self.within is not None:
            self.within.charge(attempts)

    def _release(self, held: Reservation, usd: float = 0.0, tokens: int = 0) -> None:
        with self._lock:
            self._reserved -= held.worst_usd
            self._reserved_tokens -= held.worst_tokens
            self._spent += usd
            self._spent_tokens += tokens
        if self.within is not None and held.outer is not None:
            self.within._release(held.outer, usd, tokens)
        elif self._limited:
            self._changed.notify()
