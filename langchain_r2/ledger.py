"""Who spent what: bills over attempts, and a hard budget by reserve-then-settle."""

import threading
from collections.abc import Iterable
from typing import NamedTuple

from langchain_r2.errors import BudgetError
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


class Reservation(NamedTuple):
    """Money set aside for one call."""

    worst_usd: float


class Budget:
    """A hard limit in USD, shared by all calls of a run.

    ``reserve`` sets the worst case of a call aside before it starts, ``settle`` replaces it by the real cost. Where the
    limit would be passed only because of other calls under way, ``reserve`` returns None and the caller tries again
    when one has settled. Safe to use from threads and tasks.
    """

    def __init__(self, limit_usd: float | None, spent_usd: float = 0.0) -> None:
        """Make a budget; None means no limit."""
        self.limit_usd = limit_usd
        self._spent = spent_usd
        self._reserved = 0.0
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """What settled calls cost."""
        return self._spent

    @property
    def left_usd(self) -> float | None:
        """What is neither spent nor reserved; None without a limit."""
        with self._lock:
            return None if self.limit_usd is None else self.limit_usd - self._spent - self._reserved

    def reserve(self, worst_usd: float | None) -> Reservation | None:
        """Set money aside for a call; None means: wait until another call settles, then ask again.

        Args:
            worst_usd: What the call costs at most; None where its price is unknown.

        Raises:
            BudgetError: The call could pass the limit, whatever the calls under way will cost.
        """
        with self._lock:
            if self.limit_usd is None:
                return Reservation(0.0)
            if worst_usd is None:
                worst_usd = float("inf")  # a price that is unknown cannot be paid from a limited budget
            if self._spent + worst_usd > self.limit_usd:
                raise BudgetError(worst_usd, self.limit_usd - self._spent)
            if self._spent + self._reserved + worst_usd > self.limit_usd:
                return None
            self._reserved += worst_usd
            return Reservation(worst_usd)

    def settle(self, reservation: Reservation, cost_usd: float | None) -> None:
        """Replace what was set aside by what the call did cost; an unknown cost is charged at the worst case."""
        with self._lock:
            if self.limit_usd is None:
                self._spent += cost_usd or 0.0
            else:
                self._reserved -= reservation.worst_usd
                self._spent += reservation.worst_usd if cost_usd is None else cost_usd
