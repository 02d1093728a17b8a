"""The router graph on the pool of ``R2_POOL``: a pool file, ``paper``, or ``embedded``, which is what it is without.

Keys are not needed to start: a model's key is read from its environment variable when it is first called.
"""

import logging
import os
import warnings

from langchain_r2 import create_r2_graph
from langchain_r2.calibrate.named import named_router

logger = logging.getLogger("langchain_r2.graphs")


def log(text: str, style: str) -> None:
    """A line about the pool's calibration, into the server's log."""
    del style
    logger.info(text)


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "The allocator's thresholds")  # the log says it
    graph = create_r2_graph(**named_router(os.environ.get("R2_POOL") or "embedded", check=False, note=log), name="r2")
