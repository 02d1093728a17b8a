"""A router for LangChain: decompose a query, give each part to the cheapest model that gets it right, pay less.

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import embedded_router

graph = create_r2_graph(**embedded_router())
graph.invoke({"query": "tom fills 33 boxes with 50 cards each . how many cards is that for tom ?"})["answer"]
"""

from langchain_r2._version import __version__
from langchain_r2.chat_model import ChatR2
from langchain_r2.config import R2Context
from langchain_r2.errors import BudgetError, ConfigurationError, ModelCallError, R2Error
from langchain_r2.graph import create_r2_graph
from langchain_r2.model_spec import FREE, ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.resuming import aresume, resume
from langchain_r2.types import RunRecord

__all__ = [
    "FREE",
    "BudgetError",
    "ChatR2",
    "ConfigurationError",
    "ModelCallError",
    "ModelPool",
    "ModelSpec",
    "Price",
    "R2Context",
    "R2Error",
    "RunRecord",
    "__version__",
    "aresume",
    "create_r2_graph",
    "resume",
]
