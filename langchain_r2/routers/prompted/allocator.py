"""An allocator that asks a chat model.

Source: METHOD 3.4 (what the allocator reads).
"""

import math
import random
import string
from typing import Final

from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import parse_allocation, renumbered
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import Card, plan_lines, prompts_for, schemas
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput, FlowRunnable, budget_of, uniform_allocation
from langchain_r2.routers.prompted.form import asks_for_json
from langchain_r2.transport import Call, Reply, Transport
from langchain_r2.types import Allocation, Attempt, Reason, Subtask

ALIASES: Final = [letter for letter in string.ascii_lowercase if letter not in "br"]
"""Names for models in allocators' prompts; without letters that mean something else in the embedded models' texts."""


class PromptedAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Shows a chat model the plan and a card of every pool model, and reads which model gets which subtask.

    Where the model gives the probabilities of its alternatives, ``coverage`` decides instead of the single likeliest
    name: the cheapest model is taken such that a model up to it is, with that probability, the cheapest right one.
    """

    def __init__(
        self,
        spec: ModelSpec,
        pool: ModelPool,
        *,
        coverage: float | None = None,
        shuffle_aliases: bool = True,
        default_route: str | None = None,
        undivided: str | None = None,
        max_samples: int = 2,
        temperature: float = 0.7,
        transport: Transport | None = None,
    ) -> None:
        """Make an allocator.

        Args:
            spec: The model and its price.
            pool: The models to choose from.
            coverage: Between 0 and 1; None takes the name that was written.
            shuffle_aliases: Give models names and order that change with the query (by its hash), so that no habit of
                preferring a name or a place can decide.
            default_route: Pool model for subtasks without a usable allocation; None: the middle of the MLM group.
            undivided: Pool model that a plan of one subtask starts with, without a call: steps up correct it. None: the
                allocator is asked about such plans, too.
            max_samples: Most allocations drawn: after one that is not usable as a whole, another is.
            temperature: Of all samples after the first.
            transport: Where calls go; None makes one.

        Raises:
            BadValueError: ``coverage`` or ``max_samples`` is out of range, or there are more models than names.
            UnknownModelError: The pool has no model ``default_route`` or ``undivided``.
        """
        if coverage is not None and not 0 < coverage < 1:
            raise BadValueError("coverage", coverage, "a number between 0 and 1, or None")
        if max_samples < 1:
            raise BadValueError("max_samples", max_samples, "a whole number from 1 up")
        # A fine-tuned allocator was trained on models, in their order, and on nothing else.
        self.members = (*pool.models, *(pool.executors if spec.prompt_style == "instruct" else ()))
        if len(self.members) > len(ALIASES):
            allowed = f"at most {len(ALIASES)} for a prompted allocator"
            raise BadValueError("models of the pool", len(self.members), allowed)
        self.spec, self.pool, self.coverage, self.shuffle_aliases = spec, pool, coverage, shuffle_aliases
        self.default_route = pool[default_route].name if default_route else pool.middle("MLM").name
        self.undivided = pool[undivided].name if undivided else None
        self.max_samples, self.temperature = max_samples, temperature
        # Where the alternatives of single names decide, the names must be written as they were in training.
        self._structured = coverage is None and asks_for_json(spec)
        self.transport = transport or Transport()

    def cards(self, query: str) -> list[Card]:
        """The models' cards in the order shown for a query."""
        names, order = ALIASES[: len(self.members)], list(range(len(self.members)))
        if self.shuffle_aliases:
            rng = random.Random(query)  # noqa: S311 - the same query sees the same order
            rng.shuffle(names)
            rng.shuffle(order)
        cards = []
        for alias, rank in zip(names, order, strict=True):
            model = self.members[rank]
            if model.prompt_style == "plain":
                usd = model.price.cost_usd(0, 1)
                cards.append(
                    Card(alias, rank + 1, "tool", "unknown" if usd is None else f"{usd:g} a call", model.skills)
                )
                continue
            prices = [("unknown" if p is None else f"{p:g}") for p in (model.price.input, model.price.output)]
            cards.append(Card(alias, rank + 1, str(model.group), "/".join(prices), model.skills))
        return cards if self.shuffle_aliases else sorted(cards, key=lambda c: c.rank)

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Ask, and once more where the answer is not usable as a whole.

        Raises:
            BudgetError: The budget cannot pay for the first call.
        """
        subtasks = value["plan"]["subtasks"]
        if self.undivided and len(subtasks) == 1:
            allocation = uniform_allocation(value["plan"], self.undivided, "allocated")
            return AllocatorOutput(allocation=allocation, attempts=[])
        cards = self.cards(value["query"])
        # Lines are numbered 1, 2, ... in the prompt, whatever the subtasks' ids are.
        numbers = {str(i): s["id"] for i, s in enumerate(subtasks, 1)}
        by_alias = {c.alias: self.members[c.rank - 1].name for c in cards}
        budget = budget_of(value)
        attempts: list[Attempt] = []
        models: dict[str, str] = {}
        note: str | None = None
        for number in range(self.max_samples):
            try:
                outcome = yield from self.transport.call(self._call(value, cards, budget, config, number))
            except BudgetError:
                if not attempts:
                    raise
                break  # the note says what was wrong with the first
            attempts += outcome.attempts
            if outcome.reply is None:
                note = f"call_failed: {type(outcome.error).__name__}"
                break
            parsed = parse_allocation(
                outcome.reply.text, subtask_ids=list(numbers), aliases=list(by_alias), structured=self._structured
            )
            models |= {numbers[n]: by_alias[alias] for n, alias in parsed.aliases.items()}
            note = parsed.problem
            if not note:
                if self.coverage:
                    models |= self._covering(outcome.reply, list(numbers.values()), by_alias, self.coverage)
                break
        return AllocatorOutput(allocation=self._complete(models, subtasks, note), attempts=attempts)

    def _call(
        self, value: AllocatorInput, cards: list[Card], budget: Budget, config: RunnableConfig, number: int
    ) -> Call:
        plan = renumbered(value["plan"]["subtasks"])
        ids = [str(i) for i in range(1, len(plan) + 1)]
        prompts = prompts_for(self.spec.prompt_style)
        prompt = prompts.allocate(value["query"], plan_lines(plan), cards=cards, structured=self._structured)
        return Call(
            spec=self.spec,
            prompt=prompts.in_conversation(prompt, digest=value.get("digest", "")),
            role="allocator",
            budget=budget,
            config=config,
            subtask_id=value.get("subtask_id"),
            temperature=0.0 if number == 0 else self.temperature,
            schema=schemas.allocation(ids, [c.alias for c in cards]) if self._structured else None,
            direction="replan" if value.get("subtask_id") else "initial",
            top_logprobs=len(cards) if self.coverage else 0,
            deadline_s=value.get("deadline_s"),
            run_id=value.get("run_id"),
            ordinal=number,
        )

    def _covering(self, reply: Reply, ids: list[str], by_alias: dict[str, str], coverage: float) -> dict[str, str]:
        """Models by ``coverage``, where the reply's alternatives show one distribution over aliases per subtask."""
        spots = [a for a in reply.alternatives if a and max(a, key=lambda token: a[token]).strip() in by_alias]
        if len(spots) != len(ids):
            return {}
        chosen = {}
        for id_, spot in zip(ids, spots, strict=True):
            chances = {by_alias[t.strip()]: math.exp(p) for t, p in spot.items() if t.strip() in by_alias}
            total, reached = sum(chances.values()), 0.0
            for model in self.pool:
                reached += chances.get(model.name, 0.0) / total
                if reached >= coverage:
                    chosen[id_] = model.name
                    break
        return chosen

    def _complete(self, models: dict[str, str], subtasks: list[Subtask], note: str | None) -> Allocation:
        reasons: dict[str, Reason] = {s["id"]: "allocated" if s["id"] in models else "default_route" for s in subtasks}
        routed = {s["id"]: models.get(s["id"], self.default_route) for s in subtasks}
        return Allocation(models=routed, reasons=reasons, note=note)
