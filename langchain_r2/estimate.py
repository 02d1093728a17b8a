"""What a plan is going to cost: at least, as expected, and at worst."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.ledger import add_costs
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import references, resolve
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import prompts_for
from langchain_r2.routers.base import Allocator, Decomposer
from langchain_r2.routers.bounds import BYTES_PER_TOKEN, executed_worst_usd, most_subtasks, router_worst_usd
from langchain_r2.transport import worst_input_tokens
from langchain_r2.types import Allocation, CostEstimate, Plan, Subtask

TYPICAL_OUTPUT_TOKENS: Final = 64
"""Length of a reply that a plan's cost is estimated with, before anything has run."""
_CHARS_PER_TOKEN: Final = 4
"""Of typical text."""
_MOST_CHARS_PER_TOKEN: Final = 8
"""Of the text that takes the fewest tokens."""


def expected_subtask_usd(spec: ModelSpec, text: str, query: str) -> float | None:
    """What one try of a subtask costs on a model, with texts of typical length; None where its price is unknown."""
    seen = len(text) + (len(query) if spec.prompt_style == "instruct" else 0)
    written = min(TYPICAL_OUTPUT_TOKENS, spec.max_output_tokens)
    return spec.price.cost_usd(seen // _CHARS_PER_TOKEN + 8, written)


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Estimates plans for one graph and one run's limits.

    The worst case holds for what the graph's own limits allow: ``max_attempts`` tries of every subtask, each a step up
    from the last, each call sent as often as the transport may; replans as deep as allowed, into as many parts as the
    decomposer may write. It takes for granted that a model's ``context_tokens`` is right, and that a token of a reply
    is at most eight bytes. Without a bound for a router (see :func:`~langchain_r2.routers.bounds.router_worst_usd`) or
    a price the worst case is unknown, unless a budget ends it.
    """

    pool: ModelPool
    decomposer: Decomposer
    allocator: Allocator
    confidence: Confidence
    max_tries: int
    limits: R2Context
    floor: str | None = None
    aggregator: str | None = None
    """The pool model that writes the answer; None where none does."""

    def plan(
        self,
        query: str,
        plan: Plan,
        allocation: Allocation,
        *,
        kept: Collection[str] = (),
        left_usd: float | None = None,
        turn: Mapping[str, Any] | None = None,
    ) -> CostEstimate:
        """The cost of executing a plan.

        Args:
            query: What it answers.
            plan: The plan.
            allocation: Its models.
            kept: Ids of subtasks that are not executed, since their answers are known.
            left_usd: What the run's budget has left; None without one.
            turn: The turn of a conversation that every prompt may show.
        """
        more = len(json.dumps(turn, ensure_ascii=False, default=str).encode()) if turn else 0
        todo = [s for s in plan["subtasks"] if s["id"] not in kept]
        models = {s["id"]: allocation["models"][s["id"]] for s in todo}
        least = _sum(self._least(models[s["id"]], s, query) for s in todo)
        expected = _sum(expected_subtask_usd(self.pool[models[s["id"]]], s["text"], query) for s in todo)
        worst = _sum(self._worst(models[s["id"]], s, query, more) for s in todo)
        if self.aggregator is not None and len(plan["subtasks"]) > 1:
            spec = self.pool[self.aggregator]
            least = add_costs(least, spec.price.cost_usd(0, 1))
            expected = add_costs(expected, expected_subtask_usd(spec, "", query))
            ids = {s["id"]: "" for s in plan["subtasks"]}
            read = worst_input_tokens(prompts_for(spec.prompt_style).aggregate(query, ids)) + more
            once = spec.price.cost_usd(self._with_answers(spec, read, len(ids)), spec.max_output_tokens)
            worst = add_costs(worst, None if once is None else once * self.max_tries)
        return _ordered(least, expected, worst, left_usd)

    def step(self, model: str, text: str, query: str, expected: float | None, left_usd: float | None) -> CostEstimate:
        """The cost of one try of a subtask on one model, as a step up leads to.

        Args:
            model: The model.
            text: The subtask with all that is shown beside it.
            query: What the plan answers.
            expected: What it is expected to cost; None where the price is unknown.
            left_usd: What the run's budget has left; None without one.
        """
        spec = self.pool[model]
        least = spec.price.cost_usd(len(text) // _MOST_CHARS_PER_TOKEN, 1)
        prompt = prompts_for(spec.prompt_style).subtask(text, query=query, known={})
        worst = self._tried(spec, worst_input_tokens(prompt))
        return _ordered(least, expected, worst, left_usd)

    def _least(self, model: str, subtask: Subtask, query: str) -> float | None:
        shown = resolve(subtask["text"], {}, query)
        costs = [s.price.cost_usd(len(shown) // _MOST_CHARS_PER_TOKEN, 1) for s in self._starts(model)]
        known = [cost for cost in costs if cost is not None]
        return min(known) if len(known) == len(costs) else None

    def _starts(self, model: str) -> list[ModelSpec]:
        """The models that a subtask may be tried on first."""
        lower = self.pool.down(model, self.floor) if self.limits.reallocate_downward else None
        return [self.pool[name] for name in (model, lower) if name is not None]

    def _worst(self, model: str, subtask: Subtask, query: str, more: int) -> float | None:
        named, known = references(subtask["text"]), dict.fromkeys(subtask["depends_on"], "")
        answers = len([n for n in named if n in known]) + len([k for k in known if k not in named])

        def tokens(spec: ModelSpec) -> int:
            text = resolve(subtask["text"], {}, query)
            prompt = prompts_for(spec.prompt_style).subtask(text, query=query, known=known, template=None)
            shown = prompts_for(spec.prompt_style).subtask(
                text, query=query, known=known, template=subtask["text"], inline=known
            )
            read = max(worst_input_tokens(prompt), worst_input_tokens(shown)) + more
            return self._with_answers(spec, read, answers)

        replanned = self._replanned(max(tokens(m) for m in self.pool), 0)
        return add_costs(max_cost([self._climbed(start, tokens) for start in self._starts(model)]), replanned)

    def _climbed(self, spec: ModelSpec | None, tokens: Callable[[ModelSpec], int]) -> float | None:
        """All tries that one subtask may take, each on the next stronger model."""
        total: float | None = 0.0
        for _ in range(self.limits.max_attempts):
            if spec is None:
                break
            total = add_costs(total, self._tried(spec, tokens(spec)))
            above = self.pool.up(spec.name) if self.limits.reallocate_upward else None
            spec = None if above is None else self.pool[above]
        return total

    def _replanned(self, tokens: int, depth: int) -> float | None:
        """What decomposing a subtask in turn, and executing that, may add."""
        most = most_subtasks(self.decomposer)
        if depth >= self.limits.max_replans or most == 0:
            return 0.0
        if most is None:
            return None
        spec = getattr(self.decomposer, "spec", None)
        plan_tokens = spec.max_output_tokens * BYTES_PER_TOKEN if isinstance(spec, ModelSpec) else tokens
        routing = add_costs(
            router_worst_usd(self.decomposer, tokens, most),
            # An allocator may show every subtask with the query around it.
            router_worst_usd(self.allocator, tokens + plan_tokens, most),
        )

        def part_tokens(spec: ModelSpec) -> int:
            return self._with_answers(spec, tokens + plan_tokens, most)

        members = (*self.pool.models, *self.pool.executors)
        dearest = max_cost([self._climbed(m, part_tokens) for m in members])
        below = self._replanned(max(part_tokens(m) for m in members), depth + 1)
        part = add_costs(dearest, below)
        return add_costs(routing, None if part is None else part * most)

    def _tried(self, spec: ModelSpec, tokens: int) -> float | None:
        return executed_worst_usd(spec, tokens, self.confidence, self.pool, self.max_tries)

    def _with_answers(self, spec: ModelSpec, read: int, answers: int) -> int:
        """Most tokens of a prompt that shows so many answers of the pool: a longer one than its context is refused."""
        longest = max(m.max_output_tokens for m in (*self.pool.models, *self.pool.executors)) * BYTES_PER_TOKEN
        return max(read, min(read + answers * longest, spec.context_tokens))


def max_cost(costs: Collection[float | None]) -> float | None:
    """The highest of some costs; unknown if one is."""
    known = [cost for cost in costs if cost is not None]
    return max(known, default=0.0) if len(known) == len(costs) else None


def _sum(costs: Iterable[float | None]) -> float | None:
    total: float | None = 0.0
    for cost in costs:
        total = add_costs(total, cost)
    return total


def _ordered(least: float | None, expected: float | None, worst: float | None, left_usd: float | None) -> CostEstimate:
    """The three, each within the next, and none above what may be spent."""
    if left_usd is not None:
        worst = left_usd if worst is None else min(worst, left_usd)
    if expected is not None and worst is not None:
        expected = min(expected, worst)
    bounds = [cost for cost in (expected, worst) if cost is not None]
    if least is not None and bounds:
        least = min(least, *bounds)
    return CostEstimate(min_usd=least, expected_usd=expected, worst_usd=worst)
