"""The loopback server in a process of its own, and a router graph on models behind it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.transport import Transport

_SERVER: Final = Path(__file__).with_name("loopback_server.py")


@contextmanager
def loopback_server(delay_s: float = 0.0) -> Iterator[str]:
    """Start the server; gives its address, ends it afterwards."""
    command = [sys.executable, "-m", f"tests.benchmarks.{_SERVER.stem}", str(delay_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_SERVER.parents[2]
    ) as server:
        assert server.stdin
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def asked(address: str, what: str) -> Any:
    """What the server kept: ``counts`` or ``bodies``."""
    with urllib.request.urlopen(f"{address}/{what}", timeout=30) as reply:  # noqa: S310 - our own loopback address
        return json.load(reply)


def endpoint_graph(address: str) -> Any:
    """A router graph on three models behind the server, with prompted routers; a query always makes the same calls."""
    transport = Transport()
    router = _spec(address, "router", 0.2)
    pool = ModelPool([_spec(address, "s", 0.1), _spec(address, "m", 1.0), _spec(address, "l", 10.0)])
    return create_r2_graph(
        pool,
        decomposer=PromptedDecomposer(router, transport=transport),
        allocator=PromptedAllocator(router, pool, transport=transport),
        transport=transport,
    )


def _spec(address: str, name: str, usd: float) -> ModelSpec:
    return ModelSpec(
        name=name,
        model=name,
        base_url=f"{address}/v1",
        price=Price(input=usd, output=usd),
        capabilities=frozenset({"logprobs"}),
        prompt_style="bare",
    )
