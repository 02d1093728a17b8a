"""HTTP for the clients that we make: one total deadline, a cap on a reply's bytes, one origin, no redirects.

In a thread the sockets keep to the deadline. On an event loop the driver of the flow cancels, which closes the
connection.
"""

import asyncio
import logging
import os
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, cast
from weakref import WeakKeyDictionary

import httpcore2
import httpx2

from langchain_r2.bounded_sockets import async_pool, origin_of, sync_pool
from langchain_r2.errors import (
    DeadlineError,
    InvalidReplyError,
    ModelCallError,
    RejectedError,
    UnreachableError,
)
from langchain_r2.scrubbing import KeyFilter, StreamScrubber, without_bytes

DEFAULT_DEADLINE_S: Final = 120.0
"""How long a call may take where nobody says."""
MAX_REPLY_BYTES: Final = 8 * 2**20
"""Longest reply that is read."""

_SHOWING: Final = ("httpcore2.http11", "httpcore2.http2", "httpcore2.proxy")
"""Loggers that show the head of a reply at DEBUG."""
_KEY_FILTER: Final = KeyFilter()

_NOT_SENT: Final = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)
_FAILURES: Final = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    ssl.SSLError,
    socket.gaierror,
)


_Pools: TypeAlias = WeakKeyDictionary[
    asyncio.AbstractEventLoop, tuple[httpcore2.AsyncConnectionPool, AsyncGenerator[None]]
]


class Clients(NamedTuple):
    """A pair of HTTP clients that speak to one origin only."""

    sync: httpx2.Client
    asynchronous: httpx2.AsyncClient
    origin: "Origin"


class Origin:
    """The only place that a pair of clients speaks to: scheme, host and port of the configured address."""

    def __init__(self) -> None:
        """Allow nothing yet: a client library knows its address only when it was made."""
        self.allowed: tuple[str, str, int | None] | None = None

    def allow(self, url: object) -> None:
        """Set it from the configured address."""
        self.allowed = origin_of(httpx2.URL(str(url)))

    def check(self, request: httpx2.Request) -> None:
        """Refuse a request to anywhere else, before it is sent."""
        if origin_of(request.url) != self.allowed:
            raise RejectedError(
                f"a request to {request.url.host!r:.100} was not sent: it is not the configured address"
            )


def bounded_clients(max_bytes: int = MAX_REPLY_BYTES) -> Clients:
    """Make the pair; they send nothing until their origin is set."""
    origin = Origin()
    for logger in _SHOWING:
        logging.getLogger(logger).addFilter(_KEY_FILTER)
    # No environment: a .netrc must not replace the key. Proxies of the environment are looked up by `_proxy`.
    settings: dict[str, Any] = {"trust_env": False, "headers": {"accept-encoding": "identity"}}
    return Clients(
        _Client(transport=_Transport(origin, max_bytes), **settings),
        httpx2.AsyncClient(transport=_AsyncTransport(origin, max_bytes), **settings),
        origin,
    )


def is_bounded(client: object) -> bool:
    """Whether an HTTP client is one of ours."""
    return isinstance(client, _Client)


class _Client(httpx2.Client):
    """A client of ours."""


class _Transport(httpx2.BaseTransport):
    """The synchronous half; it closes its connections when nobody has it any more."""

    def __init__(self, origin: Origin, max_bytes: int) -> None:
        self._origin, self._max_bytes = origin, max_bytes
        self._pool: httpcore2.ConnectionPool | None = None
        self._process = os.getpid()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._origin.check(request)
        pool = self._pool
        if pool is None or self._process != os.getpid():  # a forked process must not write into its parent's
            self._pool = pool = sync_pool(request.url)
            self._process = os.getpid()
            # What holds a client is a cycle, whose sockets may be collected before a `__del__` could close them.
            weakref.finalize(self, _closed, pool).atexit = False
        try:
            response = pool.handle_request(_core(request))
        except _FAILURES as error:
            raise _failure(error) from error
        body = _Body(response.stream, self._max_bytes, _keys(request))
        return _response(response, body, self._max_bytes, body.close)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class _AsyncTransport(httpx2.AsyncBaseTransport):
    """The asynchronous half; it may outlive an event loop: connections are kept apart by loop."""

    def __init__(self, origin: Origin, max_bytes: int) -> None:
        self._origin, self._max_bytes = origin, max_bytes
        self._pools: _Pools = WeakKeyDictionary()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._origin.check(request)
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            pool = async_pool(request.url)
            keeper = _closed_with_the_loop(pool, self._pools)
            await anext(keeper)
            self._pools[loop] = (pool, keeper)
        pool = self._pools[loop][0]
        try:
            response = await pool.handle_async_request(_core(request))
        except _FAILURES as error:
            raise _failure(error) from error
        body = _AsyncBody(response.stream, self._max_bytes, _keys(request))
        try:
            return _response(response, body, self._max_bytes, None)
        except ModelCallError:
            await body.aclose()
            raise


async def _closed_with_the_loop(pool: httpcore2.AsyncConnectionPool, pools: _Pools) -> AsyncGenerator[None]:
    """Closes connections when their event loop ends: a loop ends the asynchronous generators that began on it."""
    try:
        yield
    finally:
        pools.pop(asyncio.get_running_loop(), None)
        await pool.aclose()


class _Body(httpx2.SyncByteStream):
    """A reply's bytes, counted as they come; a key that the server echoes is hidden."""

    def __init__(self, stream: Any, max_bytes: int, keys: list[str]) -> None:  # noqa: ANN401 - httpcore's is a union
        self._stream, self._max_bytes, self.keys = stream, max_bytes, keys

    def __iter__(self) -> Iterator[bytes]:
        read, shown = 0, StreamScrubber(self.keys)
        try:
            for part in self._stream:
                read += len(part)
                if read > self._max_bytes:
                    self.close()
                    raise _too_long(self._max_bytes)
                yield shown.feed(part)
            yield shown.end()
        except _FAILURES as error:
            raise _failure(error) from error

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(httpx2.AsyncByteStream):
    """The same on an event loop."""

    def __init__(self, stream: Any, max_bytes: int, keys: list[str]) -> None:  # noqa: ANN401 - httpcore's is a union
        self._stream, self._max_bytes, self.keys = stream, max_bytes, keys

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read, shown = 0, StreamScrubber(self.keys)
        try:
            async for part in self._stream:
                read += len(part)
                if read > self._max_bytes:
                    await self.aclose()
                    raise _too_long(self._max_bytes)
                yield shown.feed(part)
            yield shown.end()
        except _FAILURES as error:
            raise _failure(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def _closed(pool: httpcore2.ConnectionPool) -> None:
    with suppress(Exception):
        pool.close()


def _core(request: httpx2.Request) -> httpcore2.Request:
    url = request.url
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=cast("Any", request.stream),
        extensions=request.extensions,
    )


def _keys(request: httpx2.Request) -> list[str]:
    """What the request identifies itself with."""
    found = (request.headers.get(name, "") for name in ("authorization", "api-key", "x-api-key"))
    return [key.rsplit(" ", 1)[-1] for key in found if key]


def _response(response: httpcore2.Response, body: Any, max_bytes: int, close: Any) -> httpx2.Response:  # noqa: ANN401
    shown = [(name, without_bytes(value, body.keys)) for name, value in response.headers]
    made = httpx2.Response(response.status, headers=shown, stream=body, extensions=response.extensions)
    length = made.headers.get("content-length", "")
    problem: ModelCallError | None = None
    if length.isdigit() and int(length) > max_bytes:
        problem = _too_long(max_bytes)
    elif made.headers.get("content-encoding", "identity") != "identity":  # a few bytes may unpack to gigabytes
        problem = InvalidReplyError("a compressed reply, which nobody asked for")
    if problem is not None:
        if close is not None:
            close()
        raise problem
    return made


def _failure(error: BaseException) -> ModelCallError:
    kind = type(error).__name__
    late = isinstance(error, httpcore2.TimeoutException)
    made = (DeadlineError if late else UnreachableError)(f"{kind}: {error}")
    made.may_be_billed = not isinstance(error, (*_NOT_SENT, ssl.SSLError, socket.gaierror))
    return made


def _too_long(max_bytes: int) -> InvalidReplyError:
    return InvalidReplyError(f"the reply is longer than {max_bytes} bytes; reading stopped there")
