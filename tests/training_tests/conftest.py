"""A runner of plans on scripted models, and problems for it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from langchain_r2 import ModelSpec, Price
from langchain_r2.config import R2Context
from langchain_r2.errors import UnreachableError
from langchain_r2.pool import ModelPool
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from training.executions import CachedTransport, ExecutionCache
from training.items import TrainItem
from training.plan_requests import AS_ALLOCATED
from training.plan_runs import PlanRunner

ITEM = TrainItem("i1", "two and three , doubled ?", "10", "train")


def knows(*tasks: str, **odd: Any) -> Callable[[str], Any]:
    """A model that computes the tasks it knows, and says 0 otherwise; ``odd`` replies come before."""

    def answer(prompt: str) -> Any:
        text = prompt.rsplit("solve : ", maxsplit=1)[-1]
        for part, reply in odd.items():
            if part in text:
                return reply
        if not any(task in text for task in tasks):
            return "answer : 0"
        first, sign, second = text.split()
        return f"answer : {int(first) + int(second) if sign == 'plus' else int(first) * int(second)}"

    return answer


def make_runner(
    pool: ModelPool,
    cache: ExecutionCache | None = None,
    *,
    context: R2Context = AS_ALLOCATED,
    allocator: Callable[[ModelPool, CachedTransport], PromptedAllocator] | None = None,
    router: Any = "1 : #query",
    **settings: Any,
) -> PlanRunner:
    transport = CachedTransport(cache or ExecutionCache(), max_tries=1)
    spec = ModelSpec(
        name="router",
        model=ScriptedChatModel(script=router if callable(router) else [router]),
        price=Price(input=1.0, output=1.0),
        prompt_style="bare",
    )
    return PlanRunner(
        pool,
        lambda prediction, item: prediction == item.gold,
        transport,
        decomposer=spec,
        allocator=allocator(pool, transport) if allocator else None,
        context=context,
        **settings,
    )


def calls_of(pool: ModelPool) -> Mapping[str, int]:
    """How often each scripted model was called."""
    return {m.name: len(m.model.call_history) for m in pool if isinstance(m.model, ScriptedChatModel)}


@pytest.fixture
def pool() -> ModelPool:
    """A model that adds, one that also multiplies, one that is down."""
    scripts = knows("plus"), knows("plus", "times"), lambda prompt: UnreachableError("down")
    return scripted_pool(*scripts, prompt_style="bare")
