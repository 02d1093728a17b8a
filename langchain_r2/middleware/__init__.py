"""The router as middleware of an agent: it picks the pool model of every model call in the loop.

Needs the extra ``agents``. :class:`R2RouterMiddleware` goes into the ``middleware`` of ``create_agent`` or deepagents.
"""

from langchain_r2.errors import MissingExtraError

try:
    from langchain_r2.middleware.router import R2RouterMiddleware
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("langchain.") and error.name != "langchain":
        raise
    raise MissingExtraError("R2RouterMiddleware", "agents") from error
from langchain_r2.middleware.state import Decision, Route, RouterState

__all__ = ["Decision", "R2RouterMiddleware", "Route", "RouterState"]
