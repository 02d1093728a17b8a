"""What a rollout earns: pure functions of its outcome, without torch.

Source: METHOD 4.3, after Route-and-Reason (arXiv 2506.05901), whose reward is 1 for a right final answer, else 0; with
``PAPER`` it is exactly that. Ours differs:

1. Only replies of exactly the asked form are run and paid for: any other earns ``malformed`` and nothing else.
2. A right answer earns more the less it cost, against the strongest model working the same item step by step.
3. An allocator also earns a share per subtask for agreeing with a verified label, so that credit reaches the subtask.
4. What went wrong outside the policy (no connection, no time, a grader that cannot tell) earns nothing: ``None``.

Cheap failure never pays: settings that could reward a wrong run above a right one are refused.

Shapes: ``_P`` queries of the batch, ``_G`` rollouts of the group of one query.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, get_args

from langchain_r2.errors import BadValueError
from langchain_r2.types import ParseOutcome
from training.plan_requests import RunStatus

DEAREST: Final = -1.0
"""Least saving that counts: a run at twice the reference's cost or more."""


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """What is rewarded, and how much."""

    eta: float = 0.3
    """Weight of the saving of a right run."""
    kappa: float = 0.3
    """Weight of the agreement with labels; only an allocator on labelled items has any."""
    malformed: float = -1.0
    """For a reply that is not exactly of the asked form."""

    def __post_init__(self) -> None:
        """Check that a right run always earns more than a wrong one.

        Raises:
            BadValueError: A weight is negative, or they could make failing pay.
        """
        for name in ("eta", "kappa"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise BadValueError(name, value, "a number from 0 up")
        if self.eta + self.kappa >= 1:
            hint = "A dear right run (1 - eta) has to earn more than a wrong one that agrees with its labels (kappa)."
            raise BadValueError("eta + kappa", self.eta + self.kappa, "less than 1 together", hint)
        if not -10 <= self.malformed <= 0:
            raise BadValueError("malformed", self.malformed, "a number from -10 to 0")


PAPER: Final = RewardSettings(eta=0.0, kappa=0.0, malformed=0.0)
"""1 for a right final answer, else 0."""


def saving(cost_usd: float, reference_usd: float) -> float:
    """Share of the reference's cost that a run saves, between -1 and 1; 0 where the reference costs nothing.

    Args:
        cost_usd: All calls of the run, the router's included.
        reference_usd: The strongest model's own step-by-step run of the same item.

    Raises:
        BadValueError: A cost is negative or no number.
    """
    for name, value in (("cost_usd", cost_usd), ("reference_usd", reference_usd)):
        if not math.isfinite(value) or value < 0:
            raise BadValueError(name, value, "a number of USD from 0 up")
    return max(DEAREST, 1 - cost_usd / reference_usd) if reference_usd else 0.0


def agreement(allocated: Mapping[str, str], label: Mapping[str, str], groups: Mapping[str, str]) -> float | None:
    """Mean over a label's subtasks: 1 for the label's model, 0.5 for another one of its group, else 0.

    Args:
        allocated: Model name per subtask id.
        label: Model name per subtask id, verified right; None is returned where it is empty.
        groups: Capability group per model name.
    """
    if not label:
        return None
    earned = 0.0
    for id_, model in label.items():
        given = allocated.get(id_)
        if given == model:
            earned += 1
        elif given is not None and groups.get(given, given) == groups.get(model, model):
            earned += 0.5
    return earned / len(label)


def reward(
    status: RunStatus,
    settings: RewardSettings,
    *,
    form: ParseOutcome = "clean",
    cost_usd: float | None = None,
    reference_usd: float | None = None,
    agreed: float | None = None,
) -> float | None:
    """What one rollout earns; None: it says nothing about the policy.

    Args:
        status: How its run ended.
        settings: The weights.
        form: How its reply could be read: one that had to be repaired counts as malformed.
        cost_usd: All calls of the run; None: a price is unknown.
        reference_usd: What the item costs otherwise; None where the reference run failed, then nothing counts as saved.
        agreed: Of :func:`agreement`; None: the item has no label, or a decomposer is trained.

    Raises:
        BadValueError: The status is none, or a right run's cost is unknown although savings count.
    """
    if status not in get_args(RunStatus):
        raise BadValueError("status", status, get_args(RunStatus))
    if status in {"failed", "ungradable"}:
        return None
    if form != "clean" or status == "unusable":
        return settings.malformed
    earned = settings.kappa * (agreed or 0.0)
    if status == "wrong":
        return earned
    earned += 1.0
    if settings.eta and reference_usd is not None:
        if cost_usd is None:
            hint = "Give every model of the pool a price, or set eta to 0."
            raise BadValueError("cost_usd", cost_usd, "a known cost", hint)
        earned += settings.eta * saving(cost_usd, reference_usd)
    return earned


class GroupCounts(NamedTuple):
    """How many groups of a batch teach what; a group without any reward is in ``dropped`` only."""

    groups: int
    dropped: int
    """No rollout had a reward."""
    zero_variance: int
    """All rewards equal: no advantage, nothing to learn."""


def group_counts(rewards_PG: Sequence[Sequence[float | None]]) -> GroupCounts:
    """Count the groups that teach nothing."""
    known_PG = [[r for r in rewards_G if r is not None] for rewards_G in rewards_PG]
    dropped = sum(not known_G for known_G in known_PG)
    flat = sum(bool(known_G) and max(known_G) - min(known_G) < 1e-9 for known_G in known_PG)
    return GroupCounts(len(known_PG), dropped, flat)


def model_shares(models: Iterable[str]) -> dict[str, float]:
    """Share of subtasks that each model got, largest first."""
    counted = Counter(models)
    return {name: count / counted.total() for name, count in counted.most_common()}
