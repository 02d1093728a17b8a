"""A small model that is right on easy queries, a large one that always is; and items of both kinds."""

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage

from langchain_r2.evals.items import Item
from langchain_r2.evals.methods import Method, Run, Validation
from langchain_r2.evals.methods.base import Router
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport
from langchain_r2.transport.cached import CachedTransport
from langchain_r2.transport.executions import ExecutionCache

KINDS = ("an easy sum of two small numbers", "a hard proof about very large primes")


def items(prefix: str, count: int = 40) -> list[Item]:
    return [Item(f"{prefix}{i}", f"{KINDS[i % 2]} , {prefix} {i}", "1") for i in range(count)]


def easy(prompt: str) -> bool:
    return "easy sum" in prompt


def small(prompt: str, probability: float | None = 0.9) -> AIMessage:
    sure = probability if probability is None or easy(prompt) else 0.3
    if "Proposed answer" in prompt:
        return scripted_message("yes" if easy(prompt) else "no", prompt, sure)
    return scripted_message(f"answer: {1 if easy(prompt) else 2}", prompt, sure)


def large(prompt: str) -> AIMessage:
    return scripted_message("answer: 1", prompt, 0.99)


def router(*scripts: Callable[[str], Any], prices: tuple[float, ...] = (1.0, 100.0), **settings: Any) -> Router:
    pool = scripted_pool(*(scripts or (small, large)), prices=prices, **settings)
    transport = CachedTransport(ExecutionCache())
    allocator = FixedAllocator(pool, pool.cheapest.name)
    return {"pool": pool, "decomposer": NoDecomposer(), "allocator": allocator, "transport": transport}


def planning(plan: str, transport: Transport) -> Any:
    from langchain_r2.routers.prompted import PromptedDecomposer

    spec = ModelSpec(name="r", model=ScriptedChatModel(script=lambda _: plan), price=Price(input=0.5, output=0.5))
    return PromptedDecomposer(spec, transport=transport)


def grader(prediction: str, item: Item) -> bool:
    return prediction == item.gold


def validation(made: Router, count: int = 40) -> Validation:
    return Validation(items("validation", count), grader, made)


def tuned(make: Any, made: Router, count: int = 40) -> Method:
    method: Method = asyncio.run(make(validation(made, count)))
    return method


def runs(method: Method, count: int = 10) -> list[tuple[Item, Run]]:
    async def all_() -> list[tuple[Item, Run]]:
        return [(item, await method.answer(item)) for item in items("test", count)]

    return asyncio.run(all_())


def models(run: Run) -> list[str]:
    return [row["model"] for row in run.attempts if row["role"] == "executor"]
