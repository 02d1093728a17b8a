"""A strong model checks subtasks' answers in rollouts, and its answer takes a wrong one's place (METHOD 4.4).

A reviewer that reads instructions is asked whether the answer is right, and does the subtask itself where it says no.
A fine-tuned one cannot judge: it does the subtask, and another answer overturns the first. Both are charged to the run
that they are part of, in the role ``evaluator``.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

from langchain_r2.confidence import Confidence
from langchain_r2.confidence.asking import same_answer
from langchain_r2.errors import BudgetError
from langchain_r2.flow import Flow
from langchain_r2.parsing import parse_answer
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import instruct
from langchain_r2.transport import Call, Outcome, Reply
from langchain_r2.types import Attempt
from training.executions import CachedTransport, ExecutionCache
from training.grpo_settings import ReviewSettings


@dataclass
class ReviewCounts:
    """What reviews did."""

    answers: int = 0
    """That could have been reviewed."""
    triggered: int = 0
    overturned: int = 0
    cost_usd: float = 0.0
    """As charged, kept replies too; of models with a known price."""

    def as_metrics(self) -> dict[str, Any]:
        """With the rates."""
        rates = {
            "trigger_rate": self.triggered / self.answers if self.answers else None,
            "overturn_rate": self.overturned / self.triggered if self.triggered else None,
        }
        return asdict(self) | rates


class ReviewedTransport(CachedTransport):
    """A transport whose executors' answers are reviewed."""

    def __init__(
        self,
        cache: ExecutionCache,
        pool: ModelPool,
        review: ReviewSettings,
        confidence: Confidence | None = None,
        **settings: Any,
    ) -> None:
        """Take the policy.

        Args:
            cache: Keeps what the reviewer says, too.
            pool: Has the reviewer.
            review: The policy.
            confidence: What ``low_confidence`` goes by; None: the sequence probability as it is.
            settings: Of the transport.

        Raises:
            UnknownModelError: The pool has no such reviewer.
        """
        super().__init__(cache, **settings)
        self.review = review
        self.reviewer = pool.strongest if review.reviewer == "strongest" else pool[review.reviewer]
        self.confidence = confidence or Confidence()
        self.counts = ReviewCounts()

    def call(self, call: Call) -> Flow[Outcome]:
        """Make a call, and review its answer where the policy says so."""
        outcome = yield from super().call(call)
        if call.role != "executor" or call.subtask_id is None or outcome.reply is None or call.turn is not None:
            return outcome
        if call.spec.name == self.reviewer.name or call.spec.prompt_style == "plain":
            return outcome  # nobody reviews himself, and a tool's word is what it is
        self.counts.answers += 1
        if not self._triggered(call, outcome.reply):
            return outcome
        self.counts.triggered += 1
        better, rows = yield from self._reviewed(call, outcome.reply)
        self.counts.cost_usd += sum(row["cost_usd"] or 0.0 for row in rows)
        if better is not None:
            self.counts.overturned += 1
        # The executor's row stays last: the graph writes the answer and what is thought of it there.
        return Outcome(better or outcome.reply, None, [*rows, *outcome.attempts])

    def _triggered(self, call: Call, reply: Reply) -> bool:
        if self.review.policy == "sampled":
            drawn = hashlib.sha256(f"{call.spec.name}\n{call.prompt.user}".encode(errors="surrogatepass")).digest()
            return int.from_bytes(drawn[:4], "big") < self.review.share * 2**32  # the same answer always draws the same
        if self.review.policy == "low_confidence":
            sure = self.confidence(reply, call.spec.name)
            return sure is None or sure < self.review.threshold
        return self.review.policy == "always"

    def _reviewed(self, call: Call, reply: Reply) -> Flow[tuple[Reply | None, list[Attempt]]]:
        """The reviewer's reply where it overturns the answer, and its calls. One that fails overturns nothing."""
        answer = parse_answer(reply.text)[0]
        asked = replace(call, spec=self.reviewer, role="evaluator", temperature=0.0, on_chunk=None, top_logprobs=0)
        rows: list[Attempt] = []
        try:
            if self.reviewer.prompt_style == "instruct":
                said = yield from super().call(replace(asked, prompt=instruct.verify(call.prompt.user, answer)))
                rows += said.attempts
                if said.reply is None or not parse_answer(said.reply.text)[0].strip(" .*").lower().startswith("no"):
                    return None, rows
            done = yield from super().call(asked)
            rows += done.attempts
        except BudgetError:
            return None, rows
        if done.reply is None or same_answer(parse_answer(done.reply.text)[0], answer):
            return None, rows
        return done.reply, rows
