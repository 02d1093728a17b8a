"""Waiting for a ledger's futures, with and without an event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from langchain_r2.flow import Both, Flow

T = TypeVar("T")


def committed(method: Callable[..., Future[T]], *arguments: Any) -> Flow[T]:
    """Call a ledger's method and wait until it has taken effect."""
    result: T = yield Both(_wait, _await, (method, arguments))
    return result


def _wait(method: Callable[..., Future[T]], arguments: tuple[Any, ...]) -> T:
    return method(*arguments).result()


async def _await(method: Callable[..., Future[T]], arguments: tuple[Any, ...]) -> T:
    # Shielded: who waits may be cancelled, what is to be written down is not.
    return await asyncio.shield(asyncio.wrap_future(method(*arguments)))
