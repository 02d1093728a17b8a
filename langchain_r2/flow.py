"""Steps written once, run both ways: a flow yields what it waits for, a driver waits with or without an event loop.

A *flow* is a generator. It yields an effect (:data:`Effect`), is sent the effect's result and returns its own. ``run``
drives it in this thread, ``arun`` on an event loop; the logic exists once for both.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union
from weakref import WeakKeyDictionary

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphInterrupt

T = TypeVar("T")


POLL_S: Final = 0.005
"""How often something looks again that nobody wakes."""

DEADLINE: Final[ContextVar[float | None]] = ContextVar("r2_deadline", default=None)
"""When the call that runs here has to have ended, by ``time.monotonic``; None: whenever it does."""


class Invoke(NamedTuple):
    """Invoke a runnable and wait for its output."""

    runnable: Runnable[Any, Any]
    input: Any
    config: RunnableConfig | None
    timeout_s: float | None = None
    """Seconds after which to give up with a ``TimeoutError``; the call may run on in its thread."""
    options: dict[str, Any] = {}  # noqa: RUF012 - read only
    """Further keyword arguments."""
    bounded: bool = False
    """Whether the runnable keeps to :data:`DEADLINE` by itself, so that it needs no thread to give up on."""


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class Both(NamedTuple):
    """Call a function that has an asynchronous twin."""

    function: Callable[..., Any]
    twin: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]


class Signal:
    """Wakes those who wait for a change, threads and event loops alike.

    Who waits reads ``count`` first, then looks whether it has to wait, then yields ``after(count)``: a change in
    between is not missed.
    """

    def __init__(self) -> None:
        """Nothing has changed yet."""
        self.count = 0
        self._condition = threading.Condition()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def notify(self) -> None:
        """Say that something changed."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            with suppress(RuntimeError):  # its loop has ended, and nobody waits there any more
                loop.call_soon_threadsafe(_wake, future)

    def after(self, count: int, timeout_s: float | None = None) -> Both:
        """Wait for a change after ``count``, or for so many seconds."""
        return Both(self._wait, self._await, (count, timeout_s))

    def _wait(self, count: int, timeout_s: float | None) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self.count != count, timeout_s)

    async def _await(self, count: int, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._condition:
            if self.count != count:
                return
            self._waiting.append((loop, future))
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await future


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


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
            started = [threads.submit(copy_context().run, run, flow) for flow in effect.flows]
            return unless_stopped([stopped_or(future.result) for future in started])
    return _invoke(effect)


def stopped_or(work: Callable[[], T]) -> T | GraphInterrupt:
    """What some work gives, or that it waits for a person: what runs beside it is not held up by that."""
    try:
        return work()
    except GraphInterrupt as stop:
        return stop


async def astopped_or(work: Awaitable[T]) -> T | GraphInterrupt:
    """:func:`stopped_or` on an event loop."""
    try:
        return await work
    except GraphInterrupt as stop:
        return stop


def unless_stopped(outcomes: Sequence[T | GraphInterrupt]) -> list[T]:
    """The outcomes of what ran at the same time.

    Raises:
        GraphInterrupt: Some wait for a person: all that they ask, each question once.
    """
    stops = [outcome for outcome in outcomes if isinstance(outcome, GraphInterrupt)]
    if stops:
        raise GraphInterrupt(tuple({asked.id: asked for stop in stops for asked in stop.args[0]}.values()))
    return [outcome for outcome in outcomes if not isinstance(outcome, GraphInterrupt)]


def _invoke(effect: Invoke) -> Any:  # noqa: ANN401 - whatever the runnable gives
    if effect.timeout_s is None:
        return effect.runnable.invoke(effect.input, effect.config, **effect.options)
    before = DEADLINE.set(time.monotonic() + effect.timeout_s)
    try:
        if effect.bounded:
            return effect.runnable.invoke(effect.input, effect.config, **effect.options)
        return _in_a_thread(effect)
    finally:
        DEADLINE.reset(before)


def _in_a_thread(effect: Invoke) -> Any:  # noqa: ANN401 - whatever the runnable gives
    """Invoke what cannot be stopped; past its time it is left to itself."""
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
        return unless_stopped(await asyncio.gather(*(astopped_or(arun(flow)) for flow in effect.flows)))
    async with _START.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
    async with asyncio.timeout(effect.timeout_s):
        return await effect.runnable.ainvoke(effect.input, effect.config, **effect.options)
