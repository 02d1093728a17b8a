"""The default that needs no key and no network: nine small chat models and a router, trained by ``training/``.

Their domain is worded arithmetic (:mod:`langchain_r2.evals.benchmarks.arithmetic`); they know nothing else.
"""

from langchain_r2.embedded.bundle import EmbeddedRouter, embedded_pool, embedded_router

__all__ = ["EmbeddedRouter", "embedded_pool", "embedded_router"]
