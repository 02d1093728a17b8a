"""The budget of each run that is under way in this process, shared by all its branches."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from langchain_r2.call_ledger import CallLedgerStore, Spent, committed
from langchain_r2.config import R2Context
from langchain_r2.flow import Flow, Invoke
from langchain_r2.ledger import Budget, bill
from langchain_r2.types import Attempt

_MOST: Final = 65536
"""Runs whose budgets are kept: one that was killed by its caller never says that it ended."""


class RunBudgets:
    """Budgets by a run's id: branches of ``execution="send"`` have no other memory in common."""

    def __init__(self, total: Budget | None = None, ledger: CallLedgerStore | None = None) -> None:
        """Take the budget that all runs share besides their own, and the ledger that knows what runs spent, if any."""
        self.total, self.ledger = total, ledger
        self._by_run: OrderedDict[str, Budget] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str, limits: R2Context, attempts: Iterable[Attempt]) -> Flow[Budget]:
        """The budget of a run.

        Args:
            run_id: The run.
            limits: What it may spend.
            attempts: What it did before, for a run that this process sees for the first time and no ledger knows.
        """
        if self.total is None and (limits.budget_usd, limits.budget_tokens, limits.budget_s) == (None, None, None):
            return Budget()
        with self._lock:
            known = self._by_run.get(run_id)
        if known is not None:
            return known
        if self.ledger is None:
            before = _spent(limits, attempts)
        else:  # it also has calls whose replies a kill lost
            before = yield from committed(self.ledger.spent, run_id)
        made = Budget(
            limits.budget_usd,
            before.cost_usd,
            limit_tokens=limits.budget_tokens,
            spent_tokens=before.tokens,
            limit_s=limits.budget_s,
            within=self.total,
        )
        with self._lock:
            budget = self._by_run.setdefault(run_id, made)
            if len(self._by_run) > _MOST:
                self._by_run.popitem(last=False)
        return budget

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
