"""Per-run limits and switches: the graph's ``context_schema``."""

from dataclasses import dataclass

from langchain_r2.errors import BadValueError


@dataclass(frozen=True, kw_only=True)
class R2Context:
    """What one run may do. Pass it as ``graph.invoke(..., context=R2Context(budget_usd=0.01))``, or as a dict."""

    budget_usd: float | None = None
    """Hard limit of the run's cost: a call is not started if its worst case would pass it. None: no limit."""
    budget_tokens: int | None = None
    """Hard limit of the tokens that the run's calls read and write, kept in the same way. None: no limit."""
    budget_s: float | None = None
    """Seconds for the whole run: no call starts after, and those under way end then. None: no limit."""
    deadline_s: float | None = None
    """Seconds that one model call may take from its first turn, its retries included. None: the transport's default."""
    max_attempts: int = 4
    """Most tries of one subtask, over all models."""
    max_replans: int = 1
    """How deep a subtask may be decomposed in turn; 0 switches replanning off."""
    reallocate_upward: bool = True
    """Whether a try that is not accepted goes to a stronger model."""
    reallocate_downward: bool = True
    """Whether evidence, or the budget, may send a subtask to a cheaper model than allocated."""
    threshold: float | None = None
    """Least confidence that is accepted, in place of the graph's own; between 0 and 1."""

    approve_plan: bool = False
    """Whether the run stops before execution until somebody approves of plan, allocation and estimated cost."""
    approve_upward_usd: float | None = None
    """A step up that is expected to cost more than this stops its subtask until somebody approves. None: none does."""

    @property
    def asks(self) -> bool:
        """Whether the run may stop and wait for a person; that takes a checkpointer."""
        return self.approve_plan or self.approve_upward_usd is not None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("budget_usd", "budget_s", "deadline_s"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
                raise BadValueError(name, value, "a number above 0, or None for no limit")
        for name, least in (("max_attempts", 1), ("max_replans", 0), ("budget_tokens", 1)):
            value = getattr(self, name)
            if value is None and name == "budget_tokens":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise BadValueError(name, value, f"a whole number from {least} up")
        above = self.approve_upward_usd
        priced = isinstance(above, (int, float)) and not isinstance(above, bool)
        if above is not None and not (priced and above >= 0):
            raise BadValueError("approve_upward_usd", above, "a number from 0 up, or None for no question")
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if self.threshold is not None and not (number and 0 <= self.threshold <= 1):
            raise BadValueError("threshold", self.threshold, "a number from 0 to 1, or None for the graph's own")
