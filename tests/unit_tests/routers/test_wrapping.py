"""Allocators around another one: its calls stand in the graph's call ledger, and are bounded as its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from langchain_r2 import create_r2_graph
from langchain_r2.call_ledger import CallLedger
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator
from langchain_r2.routers.baselines import NoDecomposer
from langchain_r2.routers.bounds import router_worst_usd
from langchain_r2.routers.exploring import ExploringAllocator
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.routers.standing_in import StandInAllocator
from langchain_r2.testing import scripted_pool


def _exploring(inner: Allocator, pool: ModelPool) -> Allocator:
    return ExploringAllocator(inner, pool, 0.5)


def _standing_in(inner: Allocator, pool: ModelPool) -> Allocator:
    return StandInAllocator(pool, inner, {name: name for name in pool.names})


@pytest.mark.parametrize("around", [_exploring, _standing_in])
def test_the_calls_of_the_wrapped_one_are_kept_and_bounded(
    around: Callable[[Allocator, ModelPool], Allocator], tmp_path: Path
) -> None:
    pool = scripted_pool(["1: a"], ["answer: 1"])
    inner = PromptedAllocator(pool["m1"], pool)
    outer = around(inner, pool)
    with CallLedger(tmp_path / "calls.db") as ledger:
        create_r2_graph(pool, decomposer=NoDecomposer(), allocator=outer, ledger=ledger)
        assert inner.transport.ledger is ledger
    bound = router_worst_usd(outer, 10, 2)
    assert bound is not None
    assert 0 < bound == router_worst_usd(inner, 10, 2)
