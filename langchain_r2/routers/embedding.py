"""An allocator that reads a subtask's text as a vector and knows from outcomes how likely each model is right on it.

No model is asked: a decision is a product of a small matrix with the vector. Sources: the embedding and matrix
factorisation routers of RouteLLM (arXiv 2406.18665). Deviation: any number of models, each with a probability.
"""

import math
import time
from pathlib import Path

from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Both, Flow
from langchain_r2.model_spec import Price
from langchain_r2.parsing import resolve
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import (
    AllocatorInput,
    AllocatorOutput,
    FlowRunnable,
    budget_of,
    uniform_allocation,
)
from langchain_r2.routers.success import SuccessHead, cheapest_within
from langchain_r2.types import Allocation, Attempt


class EmbeddingAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Gives each subtask to the cheapest model that is about as likely right as the likeliest.

    All texts of a plan are embedded in one call. Models of the pool that the head does not know get nothing. Calls of
    an embedding model are billed, but not written to a call ledger: a run that is killed in one embeds again.
    """

    def __init__(
        self,
        pool: ModelPool,
        head: SuccessHead | str | Path,
        *,
        embeddings: Embeddings | None = None,
        usd_per_million_tokens: float | None = None,
        slack: float | None = None,
        embedding_name: str = "embedding",
    ) -> None:
        """Make an allocator.

        Args:
            pool: The models to choose from, cheapest first.
            head: Or the folder that it was saved in.
            embeddings: What made the vectors that the head was trained on; None: the head reads TF-IDF.
            usd_per_million_tokens: Price of the embedding model, 0 where it runs on your own machine. It reports no
                usage: a quarter of the texts' bytes is counted. TF-IDF costs nothing.
            slack: How much less likely right than the best model the chosen one may be, from 0 (quality only) to 1
                (always the cheapest); None: as chosen in training.
            embedding_name: What bills and traces call the embedding model.

        Raises:
            BadValueError: ``slack`` is not from 0 to 1, the head knows no model of the pool, or embeddings and head do
                not belong together, or the embeddings have no stated price.
        """
        self.head = head if isinstance(head, SuccessHead) else SuccessHead.load(head)
        self.pool, self.embeddings, self.embedding_name = pool, embeddings, embedding_name
        self.slack = self.head.slack if slack is None else slack
        if not 0 <= self.slack <= 1:
            raise BadValueError("slack", slack, "a number from 0 to 1")
        if (embeddings is None) != (self.head.tfidf is not None):
            needs = "None: this head reads TF-IDF" if embeddings else "the embedding model that the head was trained on"
            raise BadValueError("embeddings", embeddings, needs)
        if embeddings is not None and usd_per_million_tokens is None:
            hint = "State 0 for embeddings that run on your own machine."
            raise BadValueError("usd_per_million_tokens", None, "the price of the embedding model", hint)
        self.price = Price(input=usd_per_million_tokens or 0.0, output=0.0)
        self._columns = [self.head.models.index(spec.name) for spec in pool if spec.name in self.head.models]
        if not self._columns:
            raise BadValueError("pool", pool.names, f"at least one of the head's models: {self.head.models}")

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Embed, then decide; where embedding fails or cannot be paid, the middle of the MLM group is taken."""
        del config  # LangChain's embeddings take none
        subtasks = value["plan"]["subtasks"]
        texts = [resolve(s["text"], {}, value["query"]) for s in subtasks]
        if self.embeddings is None:
            return self._decided(value, [list(map(float, row)) for row in self.head.of_texts(texts)], [])
        tokens = sum(math.ceil(len(text.encode()) / 4) for text in texts)
        cost_usd, budget, started = self.price.cost_usd(tokens, 0), budget_of(value), time.monotonic()
        try:
            held = yield from budget.reserved(cost_usd, tokens)
        except BudgetError:
            return self._default(value, "budget", [])
        row = self._row(value, tokens, cost_usd)
        try:
            vectors = yield Both(self.embeddings.embed_documents, self.embeddings.aembed_documents, (texts,))
        except Exception as error:  # noqa: BLE001 - whatever an embedding client raises: a run does not end of it
            row["error_type"] = type(error).__name__
            return self._default(value, f"call_failed: {type(error).__name__}", [row])
        finally:
            budget.settle(held, cost_usd, tokens)
            row["wall_s"] = time.monotonic() - started
        return self._decided(value, [list(map(float, p)) for p in self.head.of_vectors(vectors)], [row])

    def worst_usd(self, tokens: int, subtasks: int) -> float | None:
        """What it costs at most; see :func:`~langchain_r2.routers.bounds.router_worst_usd`."""
        return 0.0 if self.embeddings is None else self.price.cost_usd(tokens * subtasks, 0)

    def _decided(
        self, value: AllocatorInput, probabilities: list[list[float]], attempts: list[Attempt]
    ) -> AllocatorOutput:
        ids = [s["id"] for s in value["plan"]["subtasks"]]
        models = {
            id_: self.head.models[self._columns[cheapest_within([row[c] for c in self._columns], self.slack)]]
            for id_, row in zip(ids, probabilities, strict=True)
        }
        allocation = Allocation(models=models, reasons=dict.fromkeys(ids, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=attempts)

    def _default(self, value: AllocatorInput, note: str, attempts: list[Attempt]) -> AllocatorOutput:
        route = self.pool.middle("MLM").name
        allocation = uniform_allocation(value["plan"], route, "default_route", note)
        return AllocatorOutput(allocation=allocation, attempts=attempts)

    def _row(self, value: AllocatorInput, tokens: int, cost_usd: float | None) -> Attempt:
        within = value.get("subtask_id")
        return Attempt(
            subtask_id=within,
            role="allocator",
            model=self.embedding_name,
            group=None,
            direction="replan" if within else "initial",
            reason="allocated",
            confidence=None,
            input_tokens=tokens,
            cached_input_tokens=0,
            output_tokens=0,
            cost_usd=cost_usd,
            wall_s=0.0,
            error_type=None,
            answer=None,
            started_at=time.time(),
        )
