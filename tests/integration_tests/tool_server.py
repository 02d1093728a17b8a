"""An OpenAI-compatible server whose replies follow from the request: tool calls, JSON by schema, stop, streams, usage.

No model is behind it. It calls the tool that it has to, or one that the last user message asks for, with arguments that
satisfy the tool's schema; in a JSON form it writes a value of the schema; else it answers in a sentence.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

LOGPROB = -0.01
GREETING = "Hello, how are you doing today? It is good to meet you."


class Served(NamedTuple):
    """A running server."""

    url: str
    bodies: list[dict[str, Any]]
    """What it was asked, in order."""


@contextmanager
def tool_server() -> Iterator[Served]:
    """Serve on loopback."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/v1", server.bodies)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.bodies: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, _Server)
        self.server.bodies.append(body)
        if not body.get("messages"):
            self._send(400, "application/json", json.dumps({"error": {"message": "no messages"}}).encode())
            return
        reply = reply_to(body)
        if body.get("stream"):
            events = [*map(json.dumps, chunks(body, reply)), "[DONE]"]
            self._send(200, "text/event-stream", "".join(f"data: {e}\n\n" for e in events).encode())
        else:
            self._send(200, "application/json", json.dumps(completion(body, reply)).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")  # a kept one would outlive the event loop of an asynchronous test
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Stay silent."""


class Reply(NamedTuple):
    """What is replied: a text, or calls of tools."""

    text: str
    calls: list[dict[str, Any]]
    finish: str


def reply_to(body: dict[str, Any]) -> Reply:
    """The reply to a request."""
    asked = said(body, "user")
    called = call_for(body, asked)
    if called is not None:
        call = {
            "id": f"call_{len(body['messages'])}",
            "type": "function",
            "function": {"name": called["name"], "arguments": json.dumps(arguments(called, asked), ensure_ascii=False)},
        }
        return Reply("", [call], "tool_calls")
    form = body.get("response_format") or {}
    text = GREETING
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
        text = json.dumps(value_of(schema, "", asked, schema.get("$defs", {})), ensure_ascii=False)
    elif form.get("type") == "json_object":
        keys = re.findall(r"'(\w+)'", asked)
        text = json.dumps({key: f"the {key}" for key in keys})
    elif body["messages"][-1]["role"] == "tool":
        text = f"The tool says: {body['messages'][-1]['content']}"
    for stop in body.get("stop") or ():
        text = text.partition(stop)[0]
    return Reply(text, [], "stop")


def said(body: dict[str, Any], role: str) -> str:
    """The last text of a role."""
    texts = [m["content"] for m in body["messages"] if m["role"] == role and m.get("content")]
    last = texts[-1] if texts else ""
    return last if isinstance(last, str) else " ".join(block.get("text", "") for block in last)


def call_for(body: dict[str, Any], asked: str) -> dict[str, Any] | None:
    """The tool that is called; None: none is."""
    tools: list[dict[str, Any]] = [tool["function"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice", "auto")
    if not tools or choice == "none":
        return None
    if isinstance(choice, dict):
        return next(tool for tool in tools if tool["name"] == choice["function"]["name"])
    if choice == "required":
        return tools[0]
    if body["messages"][-1]["role"] == "tool":
        return None  # it has its result
    words = set(re.findall(r"[a-z]+", asked.lower()))
    return next((tool for tool in tools if words & set(re.findall(r"[a-z]{3,}", tool["name"].lower()))), None)


def arguments(tool: dict[str, Any], asked: str) -> dict[str, Any]:
    """Arguments that satisfy the tool's schema, out of what was asked where something fits."""
    schema = tool.get("parameters") or {}
    found = value_of({"type": "object", **schema}, "", asked, schema.get("$defs", {}))
    assert isinstance(found, dict)
    return found


def value_of(schema: dict[str, Any], name: str, asked: str, defs: dict[str, Any]) -> Any:
    """A value of a JSON schema."""
    for options in ("anyOf", "oneOf", "allOf"):
        schema = schema.get(options, [schema])[0]
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[-1]]
    kind = schema.get("type", "string")
    if kind == "object":
        return {key: value_of(part, key, asked, defs) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [value_of(schema.get("items", {}), name, asked, defs)]
    number, quoted = re.search(r"-?\d+", asked), re.search(r"'([^']+)'", asked)
    simple = {"integer": int(number[0]) if number else 1, "boolean": True, "null": None}
    simple["number"] = simple["integer"]
    return schema.get("enum", [simple.get(kind, quoted[1] if quoted else f"a {name or 'text'}")])[0]


def usage(body: dict[str, Any], reply: Reply) -> dict[str, int]:
    """A token per four characters read, per word written."""
    read = max(1, len(json.dumps(body["messages"])) // 4)
    wrote = max(1, len(words(reply)))
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def words(reply: Reply) -> list[str]:
    """The tokens of a reply."""
    return re.findall(r"\s*\S+", reply.text) or [call["function"]["arguments"] for call in reply.calls]


def logprobs(tokens: list[str]) -> dict[str, Any]:
    """The same probability for every token."""
    return {"content": [{"token": t, "logprob": LOGPROB, "bytes": None, "top_logprobs": []} for t in tokens]}


def completion(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """A whole reply."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = reply.calls
    choice = {"index": 0, "finish_reason": reply.finish, "message": message}
    choice["logprobs"] = logprobs(words(reply)) if body.get("logprobs") and reply.text else None
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": usage(body, reply)}


def chunks(body: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    """The same in pieces, usage last where it was asked for."""
    head = _head(body, "chat.completion.chunk")
    yield {**head, "choices": [_choice({"role": "assistant", "content": ""})]}
    if reply.text:
        for token in words(reply):
            piece = _choice({"content": token})
            piece["logprobs"] = logprobs([token]) if body.get("logprobs") else None
            yield {**head, "choices": [piece]}
    for index, call in enumerate(reply.calls):
        yield {**head, "choices": [_choice({"tool_calls": [{"index": index, **_opened(call)}]})]}
        written = call["function"]["arguments"]
        for part in (written[: len(written) // 2], written[len(written) // 2 :]):
            yield {**head, "choices": [_choice({"tool_calls": [{"index": index, "function": {"arguments": part}}]})]}
    yield {**head, "choices": [{**_choice({}), "finish_reason": reply.finish}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage(body, reply)}


def _opened(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "function": {"name": call["function"]["name"], "arguments": ""}}


def _choice(delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": None}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "reply-1", "object": kind, "created": 0, "model": body["model"]}
