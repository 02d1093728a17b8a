"""A router whose questions about this repository's documents, ``docs : ...``, go to a retriever; it costs nothing."""

from pathlib import Path

from langchain_r2 import FREE, ModelPool, create_r2_graph
from langchain_r2.bm25 import BM25Retriever
from langchain_r2.embedded import embedded_pool, embedded_router
from langchain_r2.executors import retriever_executor
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
router["decomposer"] = NoDecomposer()  # a question is one subtask
router["allocator"] = PinnedAllocator(pool, {"^docs :": "documents"}, otherwise=router["allocator"])
graph = create_r2_graph(**router, name="retrieval")
