"""A retriever as an executor: questions about this repository's documents cost nothing, the others go to models.

What is found is the answer of the subtask. In a plan of a general decomposer it is what a later subtask reads (`#1`).
"""

from pathlib import Path

from langchain_r2 import FREE, ModelPool, create_r2_graph
from langchain_r2.bm25 import BM25Retriever
from langchain_r2.embedded import embedded_pool, embedded_router
from langchain_r2.executors import retriever_executor
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import NoDecomposer
from langchain_r2.routers.pinned import PinnedAllocator

ROOT = Path(__file__).parents[1]
documents = retriever_executor(
    BM25Retriever.from_markdown([ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))], k=1),
    name="documents",
    skills="finds passages in the documents of langchain-r2",
    price=FREE,
)
pool = ModelPool(embedded_pool().models, executors=[documents], name="embedded, with documents")
router = embedded_router(pool=pool)
router["decomposer"] = NoDecomposer()
router["allocator"] = PinnedAllocator(pool, {"^docs :": "documents"}, otherwise=router["allocator"])
graph = create_r2_graph(**router)

for query in ("docs : what does ModelFallbackMiddleware do in an agent with the router ?", "33 times 50"):
    result = graph.invoke({"query": query})
    last = [attempt for attempt in result["attempts"] if attempt["role"] == "executor"][-1]
    print(f"{query}\n  {last['model']}, {bill(result['attempts']).cost_usd:.8f} USD: {result['answer'][:300]}\n")
