"""The budget of each run that is under way in this process, shared by all its branches."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from langchain_r2.call_ledger import CallLedgerStore, Spent, committed
from langchain_r2.config import R2Context
from langchain_r2.flow import Flow, Invoke
from langchain_r2.ledger import Budget, bill
from langchain_r2.types import Attempt

_Limits: TypeAlias = tuple[float | None, int | None, float | None]
"""USD, tokens and seconds."""
_MOST: Final = 65536
"""Runs whose budgets are kept: one that was killed by its caller never says that it ended."""


class RunBudgets:
    """Budgets by a run's id: branches of ``execution="send"`` have no other memory in common."""

    def __init__(self, total: Budget | None = None, ledger: CallLedgerStore | None = None) -> None:
        """Take the budget that all runs share besides their own, and the ledger that knows what runs spent, if any."""
        self.total, self.ledger = total, ledger
        self._by_run: OrderedDict[str, tuple[_Limits, Budget]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str, limits: R2Context, attempts: Iterable[Attempt]) -> Flow[Budget]:
        """The budget of a run.

        Args:
            run_id: The run.
            limits: What it may spend.
            attempts: What it did before, for a run that this process sees for the first time and no ledger knows.
        """
        wanted = limits.budget_usd, limits.budget_tokens, limits.budget_s
        if self.total is None and wanted == (None, None, None):
            return Budget()
        with self._lock:
            known = self._by_run.get(run_id)
        if known is not None and known[0] == wanted:
            return known[1]
        if self.ledger is not None:  # it also has calls whose replies a kill lost
            before = yield from committed(self.ledger.spent, run_id)
        elif known is not None:  # resumed with other limits
            before = Spent(known[1].spent_usd, known[1].spent_tokens)
        else:
            before = _spent(limits, attempts)
        made = Budget(
            limits.budget_usd,
            before.cost_usd,
            limit_tokens=limits.budget_tokens,
            spent_tokens=before.tokens,
            limit_s=limits.budget_s,
            within=self.total,
        )
        with self._lock:
            now = self._by_run.get(run_id)
            if now is None or now[0] != wanted:  # else a sibling was first
                now = self._by_run[run_id] = wanted, made
            if len(self._by_run) > _MOST:
                self._by_run.popitem(last=False)
        return now[1]

    def drop(self, run_id: str) -> None:
        """Forget a run that ended."""
        with self._lock:
            self._by_run.pop(run_id, None)


def _spent(limits: R2Context, attempts: Iterable[Attempt]) -> Spent:
    before = bill(attempts)
    # A cost that is not known leaves nothing of a limit.
    cost = (limits.budget_usd or 0.0) if before.cost_usd is None else before.cost_usd
    return Spent(cost, before.input_tokens + before.output_tokens)


def routed(request: Invoke, budget: Budget) -> Flow[Any]:
    """Ask a router within a budget. One that does not know of the budget in its input is charged afterwards.

    Args:
        request: Of the router.
        budget: The run's.

    Raises:
        BudgetError: The budget cannot pay for the router's first call.
    """
    if not budget.limited:
        return (yield request)
    own = Budget(within=budget)
    asked = {**request.input, "budget_usd": budget.left_usd, "budget": own}
    made: dict[str, Any] = yield request._replace(input=asked)
    if not own.used:
        budget.charge(made["attempts"])
    return made
