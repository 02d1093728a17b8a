"""Executions that are made once: the library's, under the names that training uses."""

from langchain_r2.transport.cached import REPETITION, REPLAYED, CachedTransport
from langchain_r2.transport.executions import ExecutionCache, Spending, Stored
from langchain_r2.transport.identity import model_hash

__all__ = ["REPETITION", "REPLAYED", "CachedTransport", "ExecutionCache", "Spending", "Stored", "model_hash"]
