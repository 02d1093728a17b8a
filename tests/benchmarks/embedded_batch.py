"""Concurrent calls to one embedded model against the same calls one after the other: they have to be batched."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from langchain_r2.embedded import embedded_pool
from tests.benchmarks.measure import Result, interleaved, interval, ratio, timed

CALLS: Final = 64


def run(*, quick: bool) -> Iterator[Result]:
    """Measure every model of the pool."""
    rounds = 1 if quick else 5
    rng = random.Random(0)
    sums = [
        f"{rng.randint(10, 99)} {rng.choice(('plus', 'minus', 'times'))} {rng.randint(10, 99)}" for _ in range(CALLS)
    ]
    prompts = [[HumanMessage(f"solve : {text}")] for text in sums]
    with asyncio.Runner() as runner:
        for spec in embedded_pool():
            model = spec.chat_model()
            seconds = interleaved(
                rounds,
                {
                    "one": timed(lambda model=model: runner.run(_one_at_a_time(model, prompts))),  # type: ignore[misc]
                    "all": timed(lambda model=model: runner.run(_at_once(model, prompts))),  # type: ignore[misc]
                },
            )
            yield Result(
                name=f"{spec.name}: {CALLS} concurrent calls, calls per second over one at a time",
                **interval(ratio, seconds["one"], seconds["all"]),
                unit="x",
                bar=10.0,
                need="at least",
                rounds=rounds,
                details={f"{name}_per_s": CALLS / min(values) for name, values in seconds.items()},
            )


async def _one_at_a_time(model: BaseChatModel, prompts: Sequence[list[HumanMessage]]) -> None:
    for prompt in prompts:
        await model.ainvoke(prompt)


async def _at_once(model: BaseChatModel, prompts: Sequence[list[HumanMessage]]) -> None:
    await asyncio.gather(*(model.ainvoke(prompt) for prompt in prompts))
