"""Builds the chat models that a pool names, with all retries of their own off: the transport owns them."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_r2.addresses import address
from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.scrubbing import scrubbed

_CLIENTS: Final = frozenset({"client", "async_client", "root_client", "root_async_client"})
"""Fields that hold what the constructor builds with the number of retries in it."""


def without_retries(model: BaseChatModel) -> BaseChatModel:
    """The same model made anew with ``max_retries=0``: clients are built at construction, so a copy would keep them."""
    if getattr(model, "max_retries", 0) == 0:
        return model
    fields: Mapping[str, Any] = {k: getattr(model, k) for k in model.model_fields_set if k not in _CLIENTS}
    return type(model)(**{**fields, "max_retries": 0})


def provider_model(name: str, model: str, *, logprobs: bool) -> BaseChatModel:
    """The chat model for ``"provider:model"``.

    Args:
        name: The model's name in the pool, for messages.
        model: As ``init_chat_model`` reads it.
        logprobs: Whether to ask for token probabilities in every call.

    Raises:
        BadValueError: The package that speaks to this provider is not installed (the message has its name), or the
            provider refuses to make the model: no key, most often.
        MissingExtraError: langchain or langchain-openai is not installed.
    """
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError(f"model {model!r} of {name!r}", "agents") from error
    options: dict[str, Any] = {"logprobs": True} if logprobs else {}
    try:
        made: BaseChatModel = init_chat_model(model, max_retries=0, **options)
    except ImportError as error:
        if model.startswith("openai:"):
            raise MissingExtraError(f"model {model!r} of {name!r}", "openai") from error
        allowed = "a model whose provider's package is installed"
        raise BadValueError(f"model of {name!r}", model, allowed, f"{error}") from error
    except Exception as error:  # noqa: BLE001 - the provider's own: a missing key, a name that it does not know
        # Not as the cause: it may show what it was given.
        raise BadValueError(f"model of {name!r}", model, "one that can be made", scrubbed(f"{error}")) from None
    return made


def openai_compatible(
    name: str, model: str, *, base_url: str | None, base_url_env: str | None, api_key_env: str | None, logprobs: bool
) -> BaseChatModel:
    """The chat model for a name on an OpenAI-compatible server.

    Args:
        name: The model's name in the pool, for messages.
        model: The name that the server knows.
        base_url: The server's address; with ``base_url_env`` the one to take where the variable is not set.
        base_url_env: Environment variable that holds the address.
        api_key_env: Environment variable that holds the key; None sends no real key.
        logprobs: Whether to ask for token probabilities in every call.

    Raises:
        BadValueError: A variable is not set, or holds no address.
        MissingExtraError: langchain-openai is not installed.
    """
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise MissingExtraError(f"model {name!r} at an OpenAI-compatible server", "openai") from error
    key = os.environ.get(api_key_env, "") if api_key_env else "none"
    if not key:
        raise BadValueError(f"environment variable {api_key_env}", "", f"the key for model {name!r}", "Set it.")
    return ChatOpenAI(
        model=model,
        base_url=address(name, base_url, base_url_env),
        api_key=SecretStr(key),
        max_retries=0,
        logprobs=logprobs or None,
        stream_usage=True,
        http_async_client=_client_per_loop(),
    )


def _client_per_loop() -> Any:  # noqa: ANN401 - its package comes with langchain-openai
    """An asynchronous HTTP client that may outlive an event loop: connections are kept apart by loop."""
    import httpx2

    class PerLoop(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncHTTPTransport] = WeakKeyDictionary()

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            loop = asyncio.get_running_loop()
            if loop not in self._by_loop:
                limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
                self._by_loop[loop] = httpx2.AsyncHTTPTransport(limits=limits)
            return await self._by_loop[loop].handle_async_request(request)

    return httpx2.AsyncClient(transport=PerLoop())
