"""Builds the chat models that a pool names, under our transport: no retries of their own, our HTTP below them."""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_r2.addresses import address
from langchain_r2.errors import BadValueError, MissingExtraError, Shown
from langchain_r2.scrubbing import scrubbed

_CLIENTS: Final = frozenset({"client", "async_client", "root_client", "root_async_client"})
"""Fields that hold what the constructor builds with the number of retries in it."""


def under_transport(model: BaseChatModel) -> BaseChatModel:
    """The same model with its own retries off and, if it speaks through openai's package, with our HTTP below it.

    Clients are built at construction, so a copy would keep the old ones: it is made anew. One that was given HTTP
    clients of the user's own keeps them.
    """
    changes: dict[str, Any] = {}
    if getattr(model, "max_retries", 0) != 0:
        changes["max_retries"] = 0
    openai = sys.modules.get("langchain_openai.chat_models.base")
    own = ("http_client", "http_async_client", "openai_proxy", "http_socket_options")
    http: Any = None
    if openai and isinstance(model, openai.BaseChatOpenAI) and all(getattr(model, name, None) is None for name in own):
        http = _http()
        changes |= {"http_client": http.sync, "http_async_client": http.asynchronous, **_no_chunk_timeout(type(model))}
    if not changes:
        return model
    fields: Mapping[str, Any] = {k: getattr(model, k) for k in model.model_fields_set if k not in _CLIENTS}
    made: Any = type(model)(**{**fields, **changes})
    if http is not None:
        http.origin.allow(made.root_async_client.base_url)
    return cast("BaseChatModel", made)


def is_bounded(model: BaseChatModel) -> bool:
    """Whether a chat model speaks through our HTTP: its sockets keep deadlines, and whole replies can be asked for."""
    http = sys.modules.get("langchain_r2.bounded_http")
    return http is not None and bool(http.is_bounded(getattr(model, "http_client", None)))


def _http() -> Any:  # noqa: ANN401 - its packages come with langchain-openai
    from langchain_r2.bounded_http import bounded_clients  # noqa: PLC0415 - as above

    return bounded_clients()


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
    return under_transport(made)


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
    key = os.environ.get(api_key_env) if api_key_env else "none"
    if not key:
        found = Shown("not set" if key is None else "empty")
        raise BadValueError(f"environment variable {api_key_env}", found, f"the key for model {name!r}", "Set it.")
    http, url = _http(), address(name, base_url, base_url_env)
    http.origin.allow(url)
    return ChatOpenAI(
        model=model,
        base_url=url,
        api_key=SecretStr(key),
        max_retries=0,
        logprobs=logprobs or None,
        stream_usage=True,
        http_client=http.sync,
        http_async_client=http.asynchronous,
        **_no_chunk_timeout(ChatOpenAI),
    )


def _no_chunk_timeout(kind: type[BaseChatModel]) -> dict[str, Any]:
    """Switch LangChain's own timeout between chunks off, where it has one: ours rules.

    It waits by ``asyncio.wait_for``, which before Python 3.12 loses a cancellation that comes together with a chunk:
    the call would run on.
    """
    return {"stream_chunk_timeout": None} if "stream_chunk_timeout" in kind.model_fields else {}
