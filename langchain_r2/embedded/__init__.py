"""The default that needs no key and no network: nine small chat models and a router, trained by ``training/``.

There are such for two domains, and each knows nothing but its own: worded arithmetic
(:mod:`langchain_r2.evals.benchmarks.arithmetic`), and SCAN's commands
(:mod:`langchain_r2.evals.benchmarks.scan_commands`): ``embedded_router("scan")``.
"""

from langchain_r2.embedded.bundle import DOMAINS, EmbeddedRouter, embedded_pool, embedded_router

__all__ = ["DOMAINS", "EmbeddedRouter", "embedded_pool", "embedded_router"]
