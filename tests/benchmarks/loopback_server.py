"""A process that answers as an OpenAI-compatible server, at once and by rule, and counts what it was asked.

Run it as a script: it prints its port and ends with its standard input. ``GET /counts`` gives the requests per query
(a word such as ``q17`` in the prompt names it), ``GET /bodies`` the last requests as they came.

The rules know the router's ``bare`` prompts: a plan has as many subtasks as ``parts=N`` in the query says (1 without),
each needing the one before where it says ``chain=N``, and every subtask goes to the first model shown.
"""

import asyncio
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

_QUERY: Final = re.compile(r"\bq\d+\b")
_PARTS: Final = re.compile(r"\b(parts|chain)=(\d+)")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Book:
    """What was asked so far."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.counts: Counter[str] = Counter()
        self.bodies: deque[dict[str, Any]] = deque(maxlen=64)

    def answer(self, path: str, content: bytes) -> Any:
        """The JSON that answers a request."""
        if path == "/counts":
            return self.counts
        if path == "/bodies":
            return list(self.bodies)
        body = json.loads(content)
        self.bodies.append(body)
        prompt = "\n".join(m["content"] for m in body["messages"])
        if named := _QUERY.search(prompt):
            self.counts[named.group()] += 1
        return completion(body, reply_to(prompt))


def reply_to(prompt: str) -> str:
    """The text that a model would write."""
    if prompt.startswith("plan : "):
        parts, query = _PARTS.search(prompt), _QUERY.search(prompt)
        if parts is None or query is None:
            return "1 : #query"
        texts = [f"do part {n} of {query[0]}" for n in range(1, int(parts[2]) + 1)]
        if parts[1] == "chain":
            texts[1:] = [f"{text} with #{n}" for n, text in enumerate(texts[1:], 1)]
        return "\n".join(f"{n} : {text}" for n, text in enumerate(texts, 1))
    if prompt.startswith("pool : "):
        first, plan = prompt.split()[2], prompt.partition("\n1 : ")[2]
        return "\n".join(f"{n} : {first}" for n, _ in enumerate(plan.splitlines(), 1))
    return "answer: 7"


def completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A chat completion with usage and, where asked for, a log-probability per word."""
    words = text.split()
    rows: list[dict[str, Any]] = [
        {"token": word, "logprob": -0.001, "bytes": None, "top_logprobs": []} for word in words
    ]
    read = sum(len(m["content"]) for m in body["messages"]) // 4
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": rows} if body.get("logprobs") else None,
    }
    usage = {"prompt_tokens": read, "completion_tokens": len(words), "total_tokens": read + len(words)}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


class Connection(asyncio.Protocol):
    """HTTP/1.1 with kept connections, no more of it than OpenAI's client speaks."""

    def __init__(self, book: Book) -> None:
        self._book, self._buffer = book, b""
        self._send: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._send = transport.write

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            path = self._buffer.split(b" ", 2)[1].decode()
            content = json.dumps(self._book.answer(path, self._buffer[end + 4 : whole])).encode()
            self._buffer = self._buffer[whole:]
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
            if self._book.delay_s:
                asyncio.get_running_loop().call_later(self._book.delay_s, self._send, head.encode() + content)
            else:
                self._send(head.encode() + content)


async def serve(delay_s: float) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, Book(delay_s)), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
