"""An OpenAI-compatible server on loopback that misbehaves as told: raw asyncio, in a thread of its own.

A request names a model; ``script`` says how the requests of that model are answered, in turn. The server counts
requests, sees when the client closes a connection, and keeps its own count of what it would bill.
"""

import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

INPUT_USD: Final = 1.0
OUTPUT_USD: Final = 2.0
"""USD per million tokens that the server bills."""
SLICE: Final = 64 * 1024
"""Bytes written at a time."""
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_WORD: Final = re.compile(r"\bid=(\w+)")
_RESET: Final = struct.pack("ii", 1, 0)

Play = Callable[["Exchange"], Awaitable[None]]
"""How a request is answered."""


@dataclass(eq=False)
class Exchange:
    """One request, what became of it, and the means to answer it."""

    model: str
    body: dict[str, Any]
    connection: "Connection" = field(repr=False)
    arrived_s: float = field(default_factory=time.monotonic)
    closed_s: float | None = None
    """When the client closed the connection, if it did before the reply was over."""
    ended_s: float | None = None
    """When the server was through with it, whoever ended it."""
    asked_wait_s: float = 0.0
    """How long the reply asked the client to wait."""
    sent_bytes: int = 0
    cost_usd: float = 0.0
    """What the server bills for it."""

    @property
    def text(self) -> str:
        """The prompt."""
        return "\n".join(str(m["content"]) for m in self.body.get("messages", ()))

    def bill(self, output_tokens: int) -> dict[str, int]:
        """Bill a reply of that length; gives its usage."""
        read = len(self.text) // 4 + 1
        self.cost_usd = (read * INPUT_USD + output_tokens * OUTPUT_USD) / 1e6
        return {"prompt_tokens": read, "completion_tokens": output_tokens, "total_tokens": read + output_tokens}

    async def send(self, data: bytes) -> None:
        """Write, and wait until the system has taken it."""
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            self.connection.write(piece)
            await self.connection.writable.wait()
            await asyncio.sleep(0)  # what the client does is seen in between
            self.sent_bytes += len(piece)

    def close(self) -> None:
        """End the connection in order."""
        self.connection.close()

    def reset(self) -> None:
        """End the connection by RST."""
        self.connection.reset()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with kept connections, no more of it than OpenAI's client speaks."""

    def __init__(self, server: "FaultServer", *, elsewhere: bool) -> None:
        self.server, self._elsewhere, self._buffer = server, elsewhere, b""
        self._transport: asyncio.Transport
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._ours = False
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self._exchange is not None or end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        content, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        try:
            body = json.loads(content) if content else {}
        except ValueError:  # two processes wrote into one connection
            self.reset()
            return
        self._exchange = Exchange(str(body.get("model")), body, self)
        self._task = asyncio.get_running_loop().create_task(self._answer(self._exchange))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self.server.play(exchange, elsewhere=self._elsewhere)
        finally:
            exchange.ended_s = time.monotonic()
            self._exchange = None
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self.writable.set()
        if self._exchange is not None and not self._ours:
            self._exchange.closed_s = time.monotonic()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._ours = True
        self._transport.close()

    def reset(self) -> None:
        self._ours = True
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


class FaultServer:
    """The server; a context manager that runs it."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.connections: set[Connection] = set()
        self.elsewhere: list[Exchange] = []
        """Requests at another origin, where nobody was configured to go."""
        self._scripts: dict[str, deque[Play]] = {}
        self._always: dict[str, Play] = {}
        self._loop = asyncio.new_event_loop()
        self._ports: list[int] = []

    @property
    def url(self) -> str:
        """The ``base_url``."""
        return f"http://127.0.0.1:{self._ports[0]}/v1"

    @property
    def other_url(self) -> str:
        """The same path at the other origin."""
        return f"http://127.0.0.1:{self._ports[1]}/v1"

    def script(self, model: str, first: Iterable[Play] = (), always: Play | None = None) -> None:
        """Say how a model's requests are answered: the first ones in turn, then always (None: healthy)."""
        self._scripts[model] = deque(first)
        self._always[model] = always or healthy

    def of(self, model: str) -> list[Exchange]:
        """A model's requests so far."""
        return [e for e in self.exchanges if e.model == model]

    def spent_usd(self, model: str) -> float:
        """What a model's requests are billed."""
        return sum(e.cost_usd for e in self.of(model))

    async def play(self, exchange: Exchange, *, elsewhere: bool) -> None:
        """Answer a request."""
        (self.elsewhere if elsewhere else self.exchanges).append(exchange)
        script = self._scripts.get(exchange.model)
        play = script.popleft() if script else self._always.get(exchange.model, healthy)
        await play(exchange)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fault-server", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        servers = [self._loop.run_until_complete(self._listen(elsewhere=e)) for e in (False, True)]
        self._ports = [server.sockets[0].getsockname()[1] for server in servers]
        started.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        for connection in list(self.connections):
            connection.reset()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    async def _listen(self, *, elsewhere: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self, elsewhere=elsewhere), "127.0.0.1", 0, backlog=1024)


def answer_to(exchange: Exchange) -> str:
    """The right answer: the last word after ``id=`` in the prompt."""
    found = _WORD.findall(exchange.text)
    return f"answer: {found[-1] if found else 7}"


def completion(exchange: Exchange, text: str | None, finish: str = "stop", **other: Any) -> dict[str, Any]:
    """A chat completion; ``other`` takes the place of its fields, ``...`` leaves one out."""
    words = (text or "").split()
    rows: list[dict[str, Any]] = [{"token": w, "logprob": -0.001, "bytes": None, "top_logprobs": []} for w in words]
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": rows} if exchange.body.get("logprobs") else None,
    }
    whole = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": exchange.model,
        "choices": [choice],
        "usage": exchange.bill(len(words)),
        **other,
    }
    return {key: value for key, value in whole.items() if value is not ...}


def head(status: str = "200 OK", length: int | None = None, kind: str = "application/json", **headers: str) -> bytes:
    """The head of a reply; a length of None stands for chunks."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{size}\r\n{more}\r\n".encode()


async def send_json(exchange: Exchange, value: Any) -> None:
    """A whole reply."""
    content = json.dumps(value).encode()
    await exchange.send(head(length=len(content)) + content)


def chunk(data: bytes) -> bytes:
    """One piece of a reply in chunks; of nothing: its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def events(exchange: Exchange, text: str, *, usage: bool = True, finish: str | None = "stop") -> list[bytes]:
    """The events of a streamed reply, without the last (``[DONE]``)."""
    words = text.split(" ")
    counts = exchange.bill(len(words))
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word if n == 0 else f" {word}"}, None) for n, word in enumerate(words)]
    deltas += [({}, finish)] if finish else []
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": exchange.model}
    rows: list[dict[str, Any]] = []
    for delta, reason in deltas:
        logprobs: dict[str, Any] | None = None
        if exchange.body.get("logprobs") and (word := delta.get("content")):
            logprobs = {"content": [{"token": word, "logprob": -0.001, "bytes": None, "top_logprobs": []}]}
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        rows.append({**frame, "choices": [choice], "usage": None})
    if usage and (exchange.body.get("stream_options") or {}).get("include_usage"):
        rows.append({**frame, "choices": [], "usage": counts})
    return [event(row) for row in rows]


def event(value: Any) -> bytes:
    """One event."""
    return f"data: {json.dumps(value)}\n\n".encode()


DONE: Final = b"data: [DONE]\n\n"


async def send_events(exchange: Exchange, rows: Iterable[bytes], *, end: bool = True) -> None:
    """A streamed reply in chunks; without its end the chunks stay open."""
    await exchange.send(head(kind="text/event-stream"))
    for row in rows:
        await exchange.send(chunk(row))
    if end:
        await exchange.send(chunk(b""))


async def healthy(exchange: Exchange) -> None:
    """The right answer, streamed if asked so."""
    if exchange.body.get("stream"):
        await send_events(exchange, [*events(exchange, answer_to(exchange)), DONE])
    else:
        await send_json(exchange, completion(exchange, answer_to(exchange)))


def slow(seconds: float) -> Play:
    """Healthy, after a while."""

    async def play(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await healthy(exchange)

    return play
