"""The 45 faults of the fault matrix: how each is played, and what may come of it."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final, Literal

from tests.scoreboard.fault_server import (
    DONE,
    SLICE,
    Exchange,
    Play,
    answer_to,
    chunk,
    completion,
    event,
    events,
    head,
    send_events,
    send_json,
)

HANG_S: Final = 60.0
"""Longer than any scenario waits."""
TRICKLE_S: Final = 15.0
BIG_BYTES: Final = 30 * 1024 * 1024
WRONG: Final = "answer: wrong"
"""What nobody may accept."""

Alone = Literal["answer", "error", "marked"]
"""What has to come of a fault on the first request where there is no second model: the right answer after another try,
a typed error where another try is of no use, or the reply marked as not good (``best_effort``)."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way for a request to go wrong."""

    name: str
    play: Play
    alone: tuple[Alone, ...] = ("answer",)
    """What may come of it with one endpoint."""
    again: bool = True
    """Whether the same request may be sent again."""
    streamed: bool = False
    deadline_s: float | None = None
    """Of a call, where the fault is about time."""


def status(code: str, content: str = '{"error": {"message": "no", "type": "x"}}', **headers: str) -> Play:
    """A reply with an error status."""

    async def play(exchange: Exchange) -> None:
        exchange.asked_wait_s = float(headers.get("retry_after", float(headers.get("retry_after_ms", 0)) / 1000))
        kind = "text/html" if content.startswith("<") else "application/json"
        await exchange.send(head(code, len(content), kind, **headers) + content.encode())

    return play


async def retry_date(exchange: Exchange) -> None:
    """429 with a date at least 2 s ahead; a date has whole seconds."""
    now = datetime.now(UTC)
    until = (now + timedelta(seconds=3)).replace(microsecond=0)
    exchange.asked_wait_s = (until - now).total_seconds()
    content = b"{}"
    await exchange.send(head("429 Too Many", len(content), retry_after=format_datetime(until, usegmt=True)) + content)


def body(content: bytes, kind: str = "application/json") -> Play:
    """Status 200 with any content."""

    async def play(exchange: Exchange) -> None:
        await exchange.send(head(length=len(content), kind=kind) + content)

    return play


def altered(text: str | None = WRONG, finish: str = "stop", **other: Any) -> Play:
    """A whole completion with something wrong in it."""

    async def play(exchange: Exchange) -> None:
        await send_json(exchange, completion(exchange, text, finish, **other))

    return play


async def header_hang(exchange: Exchange) -> None:
    """Nothing comes."""
    exchange.bill(4)
    await asyncio.sleep(HANG_S)


async def body_hang(exchange: Exchange) -> None:
    """The head comes, and half of the body."""
    content = json.dumps(completion(exchange, answer_to(exchange))).encode()
    await exchange.send(head(length=len(content)) + content[:40])
    await asyncio.sleep(HANG_S)


async def trickle(exchange: Exchange) -> None:
    """A byte every 50 ms: no read ever times out."""
    content = json.dumps(completion(exchange, answer_to(exchange))).encode()
    await exchange.send(head(length=len(content)))
    for byte in content:
        await exchange.send(bytes([byte]))
        await asyncio.sleep(0.05)


async def reset(exchange: Exchange) -> None:
    """RST in place of a reply."""
    exchange.reset()


async def closed(exchange: Exchange) -> None:
    """The connection ends without a reply."""
    exchange.close()


async def reset_in_body(exchange: Exchange) -> None:
    """RST after half of the body."""
    content = json.dumps(completion(exchange, answer_to(exchange))).encode()
    await exchange.send(head(length=len(content)) + content[:40])
    await asyncio.sleep(0.02)
    exchange.reset()


async def short_body(exchange: Exchange) -> None:
    """The connection ends in order, before the body does."""
    content = json.dumps(completion(exchange, answer_to(exchange))).encode()
    await exchange.send(head(length=len(content) + 100) + content)
    exchange.close()


async def big(exchange: Exchange) -> None:
    """30 MB of text."""
    before, after = json.dumps(completion(exchange, "here")).encode().split(b"here")
    await exchange.send(head(length=len(before) + BIG_BYTES + len(after)) + before)
    for _ in range(BIG_BYTES // SLICE):
        await exchange.send(b"x" * SLICE)
    await exchange.send(after)


async def redirect(exchange: Exchange) -> None:
    """Another origin is said to have the answer."""
    server = exchange.connection.server
    place = f"{server.other_url}/chat/completions"
    await exchange.send(head("307 Temporary Redirect", 0, location=place))


def streamed(rows: Iterable[int | bytes], then: Literal["reset", "close", "hang", "end"]) -> Play:
    """A stream of the first events of a reply (by number), or of others, and how it ends."""

    async def play(exchange: Exchange) -> None:
        known = events(exchange, WRONG)
        shown = [known[r] if isinstance(r, int) else r for r in rows]
        await send_events(exchange, shown, end=then == "end")
        if then == "hang":
            await asyncio.sleep(HANG_S)
        await asyncio.sleep(0.02)
        if then == "reset":
            exchange.reset()
        elif then == "close":
            exchange.close()

    return play


async def stream_trickle(exchange: Exchange) -> None:
    """An event every 50 ms: far past any deadline."""
    first, word = events(exchange, answer_to(exchange))[:2]
    await exchange.send(head(kind="text/event-stream") + chunk(first))
    for _ in range(int(TRICKLE_S / 0.05)):
        await exchange.send(chunk(word))
        await asyncio.sleep(0.05)


async def no_usage(exchange: Exchange) -> None:
    """A whole stream that does not say what it cost."""
    await send_events(exchange, [*events(exchange, WRONG, usage=False), DONE])


_QUOTA: Final = '{"error": {"message": "no credit", "type": "insufficient_quota", "code": "insufficient_quota"}}'
_ERROR: Final = {"error": {"message": "overloaded", "type": "server_error", "code": "server_error"}}
_USAGE: Final = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_BAD: Final[tuple[Alone, ...]] = ("answer", "error")
"""A reply of status 200 that is not one: another try or an error, both are right."""
_MARKED: Final[tuple[Alone, ...]] = ("answer", "error", "marked")

FAULTS: Final[tuple[Fault, ...]] = (
    Fault(name="429 Retry-After s", play=status("429 Too Many", retry_after="1")),
    Fault(name="429 Retry-After ms", play=status("429 Too Many", retry_after_ms="300")),
    Fault(name="429 Retry-After date", play=retry_date),
    Fault(name="429 Retry-After 130 s", play=status("429 Too Many", retry_after="130"), alone=("error",), again=False),
    Fault(name="429 bare", play=status("429 Too Many")),
    Fault(name="408", play=status("408 Timeout")),
    Fault(name="409", play=status("409 Conflict")),
    Fault(name="500", play=status("500 Error")),
    Fault(name="502 HTML", play=status("502 Bad Gateway", "<html>bad gateway</html>")),
    Fault(name="503", play=status("503 Unavailable")),
    Fault(name="529", play=status("529 Overloaded")),
    Fault(name="429 insufficient_quota", play=status("429 Too Many", _QUOTA), alone=("error",), again=False),
    Fault(name="500 x-should-retry", play=status("500 E", x_should_retry="false"), alone=("error",), again=False),
    Fault(name="400", play=status("400 Bad Request"), alone=("error",), again=False),
    Fault(name="401", play=status("401 Unauthorized"), alone=("error",), again=False),
    Fault(name="header hang", play=header_hang, alone=_BAD, deadline_s=0.6),
    Fault(name="body hang", play=body_hang, alone=_BAD, deadline_s=0.6),
    Fault(name="RST", play=reset),
    Fault(name="close without reply", play=closed),
    Fault(name="RST in body", play=reset_in_body),
    Fault(name="short body", play=short_body),
    Fault(name="malformed JSON", play=body(b'{"id": "c", "choices": [{"mess'), alone=_BAD),
    Fault(name="empty body", play=body(b""), alone=_BAD),
    Fault(name="HTML with 200", play=body(b"<html>hello</html>", "text/html"), alone=_BAD),
    Fault(name="error object with 200", play=body(json.dumps(_ERROR).encode()), alone=_BAD),
    Fault(name="choices []", play=altered(choices=[]), alone=_BAD),
    Fault(name="choices null", play=altered(choices=None), alone=_BAD),
    Fault(name="empty content", play=altered(""), alone=_BAD),
    Fault(name="null content", play=altered(None), alone=_BAD),
    Fault(name="content_filter", play=altered("answer: wro", "content_filter"), alone=_MARKED),
    Fault(name="length", play=altered("answer: wro", "length"), alone=_MARKED),
    Fault(name="usage missing", play=altered(usage=...), alone=_BAD),
    Fault(name="usage zero", play=altered(usage=dict.fromkeys(_USAGE, 0)), alone=_BAD),
    Fault(name="usage negative", play=altered(usage={k: -v for k, v in _USAGE.items()}), alone=_BAD),
    Fault(name="usage strings", play=altered(usage={k: f"many {v}" for k, v in _USAGE.items()}), alone=_BAD),
    Fault(name="30 MB", play=big, alone=_BAD),
    Fault(name="trickle", play=trickle, alone=_BAD, deadline_s=0.6),
    Fault(name="stream RST", play=streamed((0, 1, 2), "reset"), streamed=True),
    Fault(name="stream closed", play=streamed((0, 1, 2), "close"), streamed=True),
    Fault(name="stream error event", play=streamed((0, 1, 2, event(_ERROR)), "end"), alone=_BAD, streamed=True),
    Fault(name="stream bad chunk", play=streamed((0, 1, 2, b'data: {"id": \n\n'), "end"), alone=_BAD, streamed=True),
    Fault(name="stream stall", play=streamed((0, 1, 2), "hang"), alone=_BAD, streamed=True, deadline_s=0.6),
    Fault(name="stream without finish reason", play=streamed((0, 1, 2), "end"), alone=_BAD, streamed=True),
    Fault(name="stream without usage", play=no_usage, alone=_BAD, streamed=True),
    Fault(name="307 to another origin", play=redirect, alone=_BAD),
)
