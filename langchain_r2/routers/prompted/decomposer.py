"""A decomposer that asks a chat model.

Source: METHOD 2.2 (rejection sampling, adaptive here).
"""

import math

from langchain_core.runnables import RunnableConfig

from langchain_r2.confidence import Calibration, sequence
from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import ParsedPlan, parse_plan
from langchain_r2.prompts import prompts_for, schemas
from langchain_r2.routers.base import (
    DecomposerInput,
    DecomposerOutput,
    FlowRunnable,
    budget_of,
    checked_query,
    whole_query_plan,
)
from langchain_r2.routers.prompted.form import asks_for_json
from langchain_r2.transport import Call, Reply, Transport
from langchain_r2.types import Attempt, Plan


class PromptedDecomposer(FlowRunnable[DecomposerInput, DecomposerOutput]):
    """Asks a chat model for a plan; asks again, warmer, only where the first plan is unusable or improbable."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        max_samples: int = 3,
        min_confidence: float = 0.5,
        calibration: Calibration | None = None,
        max_subtasks: int = 32,
        temperature: float = 0.7,
        always_sample: bool = False,
        transport: Transport | None = None,
    ) -> None:
        """Make a decomposer.

        Args:
            spec: The model and its price.
            max_samples: Most plans drawn (K of the paper, 3 there).
            min_confidence: A usable plan at least this probable to be right ends the sampling.
            calibration: From the plan's sequence log-probability to the probability that it is right.
            max_subtasks: Plans of more are unusable.
            temperature: Of all samples after the first.
            always_sample: Draw ``max_samples`` always, as the paper does, instead of stopping early.
            transport: Where calls go; None makes one.
        """
        if max_samples < 1:
            raise BadValueError("max_samples", max_samples, "a whole number from 1 up")
        self.spec, self.max_samples, self.min_confidence = spec, max_samples, min_confidence
        self.calibration, self.max_subtasks, self.temperature = calibration, max_subtasks, temperature
        self.always_sample = always_sample
        self.transport = transport or Transport()

    def flow(self, value: DecomposerInput, config: RunnableConfig) -> Flow[DecomposerOutput]:
        """Draw plans until one is good enough.

        Raises:
            BadValueError: The query is empty.
            BudgetError: The budget cannot pay for the first plan.
        """
        query = checked_query(value)
        budget = budget_of(value)
        attempts: list[Attempt] = []
        rejected: list[str] = []
        usable: dict[tuple[str, ...], tuple[float, ParsedPlan, float | None]] = {}
        malformed = 0
        for number in range(self.max_samples):
            try:
                outcome = yield from self.transport.call(self._call(value, query, budget, config, number))
            except BudgetError:
                if not attempts:
                    raise
                rejected.append("budget")
                break
            attempts += outcome.attempts
            if outcome.reply is None:
                rejected.append(f"call_failed: {type(outcome.error).__name__}")
                continue
            parsed = parse_plan(outcome.reply.text, max_subtasks=self.max_subtasks, structured=asks_for_json(self.spec))
            confidence = self._confidence(outcome.reply)
            attempts[-1]["confidence"] = confidence
            if parsed.problem:
                rejected.append(parsed.problem)
                malformed += parsed.outcome == "malformed"
                if malformed == 2 and not self.always_sample:
                    break  # a model that misses the form twice will miss it again
                continue
            key = tuple(s["text"] for s in parsed.subtasks)
            usable.setdefault(key, (-1.0 if confidence is None else confidence, parsed, confidence))
            if not self.always_sample and (confidence is None or confidence >= self.min_confidence):
                break
        if not usable:
            return DecomposerOutput(plan=whole_query_plan(query, rejected), attempts=attempts)
        # Equal probabilities: the shorter plan (the part of J that can be known without running the plan).
        _, best, confidence = max(usable.values(), key=lambda u: (u[0], -len(u[1].subtasks)))
        plan = Plan(subtasks=best.subtasks, parse=best.outcome, confidence=confidence, rejected=rejected)
        return DecomposerOutput(plan=plan, attempts=attempts)

    def _call(self, value: DecomposerInput, query: str, budget: Budget, config: RunnableConfig, number: int) -> Call:
        prompts, structured = prompts_for(self.spec.prompt_style), asks_for_json(self.spec)
        prompt = prompts.decompose(query, max_subtasks=self.max_subtasks, structured=structured)
        return Call(
            spec=self.spec,
            prompt=prompts.in_conversation(prompt, digest=value.get("digest", "")),
            role="decomposer",
            budget=budget,
            config=config,
            subtask_id=value.get("subtask_id"),
            temperature=0.0 if number == 0 else self.temperature,
            schema=schemas.PLAN if structured else None,
            direction="replan" if value.get("subtask_id") else "initial",
            deadline_s=value.get("deadline_s"),
            run_id=value.get("run_id"),
            ordinal=number,
        )

    def _confidence(self, reply: Reply) -> float | None:
        if reply.token_logprobs is None:
            return None
        value = sequence(reply.token_logprobs)
        return self.calibration(value) if self.calibration else math.exp(min(0.0, value))
