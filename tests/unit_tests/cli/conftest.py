"""A pool of scripted models behind the command line."""

from pathlib import Path
from typing import Any

import pytest

from langchain_r2 import ModelPool, create_r2_graph
from langchain_r2.cli import shared
from langchain_r2.errors import RejectedError
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import scripted_pool
from tests.unit_tests.cli.console import Cli, run, weak, write_queries


@pytest.fixture
def pool() -> ModelPool:
    return scripted_pool(
        weak, lambda p: "answer: 1657" if "refuse" not in p else RejectedError("no"), prompt_style="bare"
    )


@pytest.fixture
def invoke(pool: ModelPool, monkeypatch: pytest.MonkeyPatch) -> Cli:
    def build_graph(name: str, *, check: bool = True, explore: float = 0.0, **kept: Any) -> Any:
        assert (name, explore) == ("embedded", 0.0)
        router: Any = {"decomposer": PromptedDecomposer(pool["m1"]), "allocator": FixedAllocator(pool, "m1")}
        return create_r2_graph(pool, **router, **kept)

    monkeypatch.setattr(shared, "build_graph", build_graph)
    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [{"query": "boxes"}, {"id": "x", "query": "a sum", "gold": "5"}, {"query": "another"}]
    return write_queries(tmp_path / "in.jsonl", *rows)
