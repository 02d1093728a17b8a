"""What recorded runs show of models on subtasks: who did one, who failed at it, of whom nothing is known.

A model *did* a subtask where its answer was accepted and a run that rested on that answer was right. It *failed* where
its answer was not accepted, or was accepted and differs from the one that was right. Of all others nothing is known,
and nothing is concluded: the model that a router always chose has no rival that failed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from langchain_r2.evals.recorded import JudgedRun, Key, Try, keys_of, needed_for_answer, tries_of
from langchain_r2.pool import ModelPool

Known = Literal["cheapest", "next_failed", "censored", "never"]
"""How well the label of a subtask is known. ``cheapest``: every cheaper model failed at it, or there is none.
``next_failed``: the next cheaper one did. ``censored``: it was not tried, so nobody knows whether it would do.
``never``: no model did it."""


@dataclass
class Seen:
    """One question, and how models did on it."""

    right: set[str] = field(default_factory=set)
    """Answers that right runs rested on."""
    did: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """By model, for each try that says something whether it did it."""
    usd: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def share(self, model: str) -> float | None:
        """How often a model did it; None: nothing is known."""
        return fmean(self.did[model]) if self.did.get(model) else None

    def label(self, pool: ModelPool) -> tuple[str | None, Known]:
        """The cheapest model that did it each time, by the pool's order, and how well that is known."""
        did = [m for m in pool.names if self.share(m) == 1]
        if not did:
            return None, "never"
        cheaper = pool.names[: pool.rank(did[0])]
        failed = [m for m in cheaper if self.share(m) is not None]  # those that did it are not cheaper
        if len(failed) == len(cheaper):
            return did[0], "cheapest"
        return did[0], "next_failed" if cheaper[-1] in failed else "censored"


class Evidence:
    """All questions of some runs."""

    def __init__(self, runs: Sequence[JudgedRun], *, same_text: bool) -> None:
        """Go through the runs.

        Args:
            runs: Known to be right or wrong.
            same_text: Whether an answer that reads otherwise than the right one is wrong; not so for free text.
        """
        self.seen: dict[Key, Seen] = defaultdict(Seen)
        self.tries: Counter[str] = Counter()
        self._same_text = same_text
        for run in runs:
            if run.right:
                self._learn_answers(run)
        for run in runs:
            self._learn_tries(run)

    def of(self, key: Key) -> Seen:
        """What is known of a question."""
        return self.seen.get(key) or Seen()

    def _learn_answers(self, run: JudgedRun) -> None:
        needed, keys = needed_for_answer(run.record), keys_of(run.record)
        for result in run.record.get("results", []):
            if result["id"] in needed and result["answer"]:
                self.seen[keys[result["id"]]].right.add(result["answer"].strip())

    def _learn_tries(self, run: JudgedRun) -> None:
        for tried in tries_of(run.record):
            did = self._did(tried)
            self.tries["says nothing" if did is None else "did it" if did else "failed"] += 1
            if did is not None:
                seen = self.seen[tried.key]
                seen.did[tried.row["model"]].append(did)
                if tried.row["cost_usd"] is not None:
                    seen.usd[tried.row["model"]].append(tried.row["cost_usd"])

    def _did(self, tried: Try) -> bool | None:
        if not tried.accepted:
            return False
        right = self.of(tried.key).right
        if (tried.row["answer"] or "").strip() in right:
            return True
        return False if right and self._same_text else None


def outcome_rows(evidence: Evidence, pool: ModelPool) -> Iterable[tuple[Key, list[float | None], list[float | None]]]:
    """Of every question of which something is known: how right each model was, and what it cost; None: not known."""
    for key, seen in evidence.seen.items():
        q = [seen.share(name) for name in pool.names]
        if any(value is not None for value in q):
            yield key, q, [fmean(seen.usd[name]) if seen.usd.get(name) else None for name in pool.names]
