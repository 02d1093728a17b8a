"""Connections that keep to the deadline of the call that runs, straight to a server or through the environment's proxy.

A timeout of an HTTP library counts anew with every byte that arrives, so a server that trickles is never late. Here
every wait for the socket is given what is left until :data:`langchain_r2.flow.DEADLINE`.
"""

import functools
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpcore2
import httpx2

from langchain_r2.errors import BadValueError
from langchain_r2.flow import DEADLINE

_LIMITS: Final[Mapping[str, Any]] = {
    "max_connections": 1000,
    "max_keepalive_connections": 100,
    "keepalive_expiry": 5.0,
}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _Stream(httpcore2.NetworkStream):
    """A connection on which no wait goes past the deadline."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 65536):
            self._inner.write(buffer[start : start + 65536], _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Connects within the deadline, however many addresses a name has."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        inner = httpcore2.SyncBackend()
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for number, (*_, address) in enumerate(found):
            last = number == len(found) - 1
            left = _left(timeout)
            share = left if left is None else left / (len(found) - number)
            try:
                return _Stream(inner.connect_tcp(str(address[0]), port, share, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if last:
                    raise
        raise httpcore2.ConnectError(f"{host!r} has no address")


def _left(timeout: float | None) -> float | None:
    """What a wait may take."""
    ends = DEADLINE.get()
    if ends is None:
        return timeout
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the deadline has passed")
    return left if timeout is None else min(timeout, left)


def origin_of(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def sync_pool(url: httpx2.URL) -> httpcore2.ConnectionPool:
    """Connections to an origin, through the environment's proxy for it, for threads."""
    pool: httpcore2.ConnectionPool = _pool(httpcore2.ConnectionPool, httpcore2.HTTPProxy, url, _Backend())
    return pool


def async_pool(url: httpx2.URL) -> httpcore2.AsyncConnectionPool:
    """The same for one event loop, where cancelling closes them."""
    pool: httpcore2.AsyncConnectionPool = _pool(httpcore2.AsyncConnectionPool, httpcore2.AsyncHTTPProxy, url, None)
    return pool


def _pool(direct: Any, proxied: Any, url: httpx2.URL, backend: Any) -> Any:  # noqa: ANN401 - two families of classes
    context = _ssl_context() if url.scheme == "https" else None
    proxy = _proxy(url)
    if proxy is None:
        return direct(ssl_context=context, network_backend=backend, **_LIMITS)
    auth = (proxy.username, proxy.password) if proxy.username else None
    target = f"{proxy.scheme}://{proxy.host}:{origin_of(proxy)[2]}"
    return proxied(proxy_url=target, proxy_auth=auth, ssl_context=context, network_backend=backend, **_LIMITS)


def _proxy(url: httpx2.URL) -> httpx2.URL | None:
    if url.host in _LOOPBACK or urllib.request.proxy_bypass(url.host):
        return None
    found = urllib.request.getproxies()
    named = found.get(url.scheme) or found.get("all")
    if not named:
        return None
    proxy = httpx2.URL(named if "://" in named else f"http://{named}")
    if proxy.scheme not in {"http", "https"}:
        raise BadValueError("proxy of the environment", proxy.scheme, "an http or https proxy")
    return proxy
