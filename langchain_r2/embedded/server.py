"""Serves the embedded models over HTTP as an OpenAI-compatible server.

For tests and for whatever speaks that protocol: the same models, reached as a hosted one is. Needs the extra ``serve``.
Calls go through ``ainvoke``, so concurrent requests to a model are answered in batches. There is no authentication.
"""

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from tokenizers.decoders import DecodeStream

from langchain_r2.embedded.bundle import ARITHMETIC, embedded_pool, home_of, router_spec
from langchain_r2.embedded.chat import EmbeddedChatModel, load_tokenizer, read_json
from langchain_r2.embedded.openai_api import chunks, completion, error_body, model_card, read_request, rows_of
from langchain_r2.errors import BadValueError, MissingExtraError, RejectedError, UnknownModelError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

ROLES = ("decomposer", "allocator")


def served_models(models: str | Path = ARITHMETIC) -> dict[str, EmbeddedChatModel]:
    """The pool's models and the router's two, by name; of a domain, or those in a folder.

    Raises:
        BadValueError: There is no such domain.
    """
    home = home_of(models)
    settings = read_json(home / "router.json")
    specs = [*embedded_pool(home), *(router_spec(home, role, settings) for role in ROLES)]
    return {spec.name: spec.model for spec in specs if isinstance(spec.model, EmbeddedChatModel)}


def create_app(models: Mapping[str, EmbeddedChatModel]) -> "Starlette":
    """Make the application: ``/v1/models`` and ``/v1/chat/completions``.

    Raises:
        MissingExtraError: starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.responses import JSONResponse, StreamingResponse
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError("a server of the embedded models", "serve") from error
    started = int(time.time())

    def known(name: str) -> EmbeddedChatModel:
        if name not in models:
            raise UnknownModelError(name, models)
        return models[name]

    async def listed(request: "Request") -> "Response":
        del request
        return JSONResponse({"object": "list", "data": [model_card(name, started) for name in models]})

    async def one(request: "Request") -> "Response":
        name = request.path_params["name"]
        known(name)
        return JSONResponse(model_card(name, started))

    async def chat(request: "Request") -> "Response":
        asked = read_request(await request.body())
        model = known(asked.model)
        reply = await model.ainvoke(asked.chat(), **asked.options())
        if not asked.stream:
            return JSONResponse(completion(asked, reply))
        events = chunks(asked, reply, text_pieces(model, reply))
        return StreamingResponse(_server_sent(events), media_type="text/event-stream")

    async def failed(request: "Request", error: Exception) -> "Response":
        del request
        if isinstance(error, HTTPException):
            return JSONResponse(error_body(error.detail), error.status_code, error.headers)
        status, body = error_reply(error)
        return JSONResponse(body, status)

    routes = [
        Route("/v1/models", listed),
        Route("/v1/models/{name}", one),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    caught = (BadValueError, UnknownModelError, RejectedError, HTTPException, Exception)
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(caught, failed))


def error_reply(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body for an exception; what was not foreseen is a server error without its details."""
    if isinstance(error, BadValueError):
        return 400, error_body(str(error), param=error.name)
    if isinstance(error, UnknownModelError):
        return 404, error_body(str(error), param="model", code="model_not_found")
    if isinstance(error, RejectedError):
        return 400, error_body(str(error), param="messages", code="context_length_exceeded")
    return 500, error_body(f"{type(error).__name__} in the server; its log has more", kind="server_error")


def text_pieces(model: EmbeddedChatModel, reply: AIMessage) -> Iterator[str]:
    """The text that each written token adds; together they are the whole text, also where a stop word cut it."""
    tokenizer, text, start = load_tokenizer(model.tokenizer_file), reply.text, 0
    decoder = DecodeStream(skip_special_tokens=True)
    rows = rows_of(reply)
    for number, row in enumerate(rows, 1):
        id_ = tokenizer.token_to_id(row["token"])
        end = len(text) if number == len(rows) else start + len(decoder.step(tokenizer, id_) or "")
        yield text[start:end]
        start = end


async def _server_sent(events: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
    for event in events:
        yield f"data: {json.dumps(event, allow_nan=False)}\n\n"
    yield "data: [DONE]\n\n"


def listen(host: str, port: int) -> socket.socket:
    """Take an address; port 0 takes any that is free.

    Raises:
        BadValueError: It cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        allowed = "an address of this machine with a port that is free"
        raise BadValueError(
            "address", f"{host}:{port}", allowed, f"Give another --host or --port ({error})."
        ) from error


def base_url(listener: socket.socket) -> str:
    """What a client needs to reach a server at an address."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def new_server(models: Mapping[str, EmbeddedChatModel]) -> "uvicorn.Server":
    """A server that has not been started: ``run(sockets=[listen(host, port)])`` runs it until it is interrupted.

    Raises:
        MissingExtraError: starlette or uvicorn are not installed.
    """
    app = create_app(models)
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("a server of the embedded models", "serve") from error
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))


@contextmanager
def embedded_server(models: str | Path = ARITHMETIC, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A server on a thread of this process, for as long as the block runs; gives its ``base_url``.

    Args:
        models: A domain, or the folder of the models.
        host: Address to listen at.
        port: 0 takes one that is free.

    Raises:
        BadValueError: The address cannot be had.
        MissingExtraError: starlette or uvicorn are not installed.
    """
    server = new_server(served_models(models))
    with listen(host, port) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="embedded-server", daemon=True)
        thread.start()
        try:
            yield base_url(listener)  # it already accepts connections: they wait until the thread answers
        finally:
            server.should_exit = True
            thread.join()
