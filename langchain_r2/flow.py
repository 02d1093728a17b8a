"""Steps written once, run both ways: a flow yields what it waits for, a driver waits with or without an event loop.

A *flow* is a generator. It yields an effect (:data:`Effect`), is sent the effect's result and returns its own. ``run``
drives it in this thread, ``arun`` on an event loop; the logic exists once for both.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union
from weakref import WeakKeyDictionary

from langchain_core.runnables import Runnable, RunnableConfig

T = TypeVar("T")

POLL_S: Final = 0.005
"""How often something that waits for its turn or for money looks again."""


class Invoke(NamedTuple):
    """Invoke a runnable and wait for its output."""

    runnable: Runnable[Any, Any]
    input: Any
    config: RunnableConfig | None
    timeout_s: float | None = None
    """Seconds after which to give up with a ``TimeoutError``; the call may run on in its thread."""
    options: dict[str, Any] = {}  # noqa: RUF012 - read only
    """Further keyword arguments."""


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class Both(NamedTuple):
    """Call a function that has an asynchronous twin."""

    function: Callable[..., Any]
    twin: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]


class Gather(NamedTuple):
    """Drive several flows at the same time; the result is the list of theirs."""

    flows: "Sequence[Flow[Any]]"


Effect: TypeAlias = Union[Invoke, Sleep, Both, Gather]  # noqa: UP007 - refers forward
Flow: TypeAlias = Generator[Effect, Any, T]

_START: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()
"""Per event loop, whose call may start: one in each of its rounds, so that many at once do not hold it up."""


def run(flow: Flow[T]) -> T:
    """Drive a flow in this thread."""
    try:
        effect = next(flow)
        while True:
            try:
                result = _perform(effect)
            except Exception as error:  # noqa: BLE001 - handed to the flow, which decides
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


async def arun(flow: Flow[T]) -> T:
    """Drive a flow on the running event loop."""
    try:
        effect = next(flow)
        while True:
            try:
                result = await _aperform(effect)
            except Exception as error:  # noqa: BLE001 - handed to the flow, which decides
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


def _perform(effect: Effect) -> Any:  # noqa: ANN401 - whatever the effect gives
    if isinstance(effect, Sleep):
        return time.sleep(effect.seconds)
    if isinstance(effect, Both):
        return effect.function(*effect.arguments)
    if isinstance(effect, Gather):
        if len(effect.flows) == 1:
            return [run(effect.flows[0])]
        with ThreadPoolExecutor(max(1, len(effect.flows))) as threads:
            return [f.result() for f in [threads.submit(copy_context().run, run, flow) for flow in effect.flows]]
    if effect.timeout_s is None:
        return effect.runnable.invoke(effect.input, effect.config, **effect.options)
    threads = ThreadPoolExecutor(1)
    try:
        call = partial(effect.runnable.invoke, effect.input, effect.config, **effect.options)
        future = threads.submit(copy_context().run, call)
        return future.result(effect.timeout_s)
    finally:
        threads.shutdown(wait=False)


async def _aperform(effect: Effect) -> Any:  # noqa: ANN401 - whatever the effect gives
    if isinstance(effect, Sleep):
        return await asyncio.sleep(effect.seconds)
    if isinstance(effect, Both):
        return await effect.twin(*effect.arguments)
    if isinstance(effect, Gather):
        return await asyncio.gather(*(arun(flow) for flow in effect.flows))
    async with _START.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
    async with asyncio.timeout(effect.timeout_s):
        return await effect.runnable.ainvoke(effect.input, effect.config, **effect.options)
