"""What a checkpoint or a cache may hold: plain data and LangChain messages; anything else is refused, not built.

LangGraph's serializer, by default, imports and calls whatever a checkpoint names: whoever can write to the database can
run code in every process that resumes from it. ``create_r2_graph`` gives its checkpointer and its cache this one.
"""

import copy
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import ormsgpack
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import (
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_NUMPY_ARRAY,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)

from langchain_r2.errors import BadValueError, CheckpointError

Saver = TypeVar("Saver", BaseCheckpointSaver[Any], BaseCache[Any])

MAX_BYTES: Final = 256 * 2**20
"""Longest value that is read."""

_MESSAGES: Final = {
    "ai": ["AIMessage", "AIMessageChunk"],
    "base": ["BaseMessage", "BaseMessageChunk"],
    "chat": ["ChatMessage", "ChatMessageChunk"],
    "function": ["FunctionMessage", "FunctionMessageChunk"],
    "human": ["HumanMessage", "HumanMessageChunk"],
    "modifier": ["RemoveMessage"],
    "system": ["SystemMessage", "SystemMessageChunk"],
    "tool": ["ToolMessage", "ToolMessageChunk"],
}
_PLAIN: Final = {
    "builtins": ["frozenset", "set"],
    "collections": ["deque"],
    "datetime": ["date", "datetime", "time", "timedelta", "timezone"],
    "decimal": ["Decimal"],
    "langchain_core.documents.base": ["Document"],
    "langgraph.types": ["Command", "Interrupt", "Overwrite", "Send"],
    "uuid": ["UUID"],
}
ALLOWED: Final = frozenset(
    [(module, name) for module, names in _PLAIN.items() for name in names]
    + [(f"langchain_core.messages.{module}", name) for module, names in _MESSAGES.items() for name in names]
)
"""Types, as module and name, that are built when they are read."""

_METHODS: Final = frozenset({("datetime", "datetime", "fromisoformat")})
_PLAIN_KINDS: Final = frozenset({"null", "bytes", "bytearray"})


class StrictSerializer(JsonPlusSerializer):
    """Writes as LangGraph's serializer does, reads only what is on a list.

    Give it to a checkpointer that several graphs share: ``SqliteSaver(connection, serde=StrictSerializer())``.
    """

    def __init__(self, allowed: Iterable[type | tuple[str, str]] = (), *, max_bytes: int = MAX_BYTES) -> None:
        """Make a serializer.

        Args:
            allowed: Types besides :data:`ALLOWED`, such as message classes of your own.
            max_bytes: A longer value is refused.
        """
        more = {(a.__module__, a.__name__) if isinstance(a, type) else a for a in allowed}
        self.allowed: Final = ALLOWED | more
        self.max_bytes: Final = max_bytes
        super().__init__(allowed_msgpack_modules=sorted(self.allowed))

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[tuple[str, ...] | type]) -> JsonPlusSerializer:
        """This serializer: its list is whole. LangGraph asks for more with ``LANGGRAPH_STRICT_MSGPACK``."""
        del extra_allowlist
        return self

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # noqa: ANN401 - any state
        """The value of a kind and bytes.

        Raises:
            CheckpointError: It names something that is not on the list, is too long, or is not whole.
        """
        kind, payload = data
        if len(payload) > self.max_bytes:
            raise CheckpointError(f"a value of {len(payload)} bytes; at most {self.max_bytes} are read")
        if kind == "msgpack":
            self._check(payload)
        elif kind not in _PLAIN_KINDS:  # "pickle" runs code; "json" rebuilds LangChain objects and nobody writes it now
            raise CheckpointError(f"a value of the kind {kind!r:.40}; only msgpack is read")
        try:
            return super().loads_typed(data)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"a value that cannot be read ({error})") from error

    def _check(self, payload: bytes) -> None:
        """Walk through everything that a value would build, without building any of it."""
        found: list[str] = []

        def visit(code: int, data: bytes) -> None:
            inside = ormsgpack.unpackb(data, ext_hook=visit, option=ormsgpack.OPT_NON_STR_KEYS)
            if code == EXT_DELTA_SNAPSHOT:
                return
            if problem := self._problem(code, inside):
                found.append(problem)
                raise ValueError(problem)

        try:
            ormsgpack.unpackb(payload, ext_hook=visit, option=ormsgpack.OPT_NON_STR_KEYS)
        except (ValueError, TypeError) as error:
            raise CheckpointError(found[0] if found else f"a value that is not whole ({error})") from None

    def _problem(self, code: int, inside: Any) -> str | None:  # noqa: ANN401 - whatever was written
        if code == EXT_NUMPY_ARRAY or not 0 <= code <= EXT_PYDANTIC_V2:
            return f"a value with the extension {code}"
        shape = isinstance(inside, (list, tuple)) and len(inside) >= 3
        if not shape or not all(isinstance(part, str) for part in inside[:2]):
            return "a value that names no type"
        if code == EXT_METHOD_SINGLE_ARG:
            named = tuple(inside[:2]) + tuple(inside[3:4])
            return None if named in _METHODS else f"a call of {'.'.join(map(str, named))!r:.120}"
        return None if tuple(inside[:2]) in self.allowed else f"an object of {'.'.join(inside[:2])!r:.120}"


def hardened(saver: Saver, name: str) -> Saver:
    """The saver, or a shallow copy of it that reads only what is on the list.

    A saver that still has LangGraph's own serializer without a list gets a :class:`StrictSerializer`, inside its
    encryption if it has one. One with a serializer, or a list, of the user's own is left alone.

    Args:
        saver: A checkpointer or a cache.
        name: What it is, for messages.

    Raises:
        BadValueError: It would read pickles, which run code.
    """
    strict = _strict(saver.serde, name)
    if strict is saver.serde:
        return saver
    clone = copy.copy(saver)  # as LangGraph does: connections, locks and stored values are shared
    clone.serde = strict
    vars(clone)["_original"] = saver  # some close their connection when nobody has them any more
    return clone


def _strict(serde: SerializerProtocol, name: str) -> SerializerProtocol:
    if isinstance(serde, EncryptedSerializer):
        inner = _strict(serde.serde, name)
        return serde if inner is serde.serde else EncryptedSerializer(serde.cipher, inner)
    if not isinstance(serde, JsonPlusSerializer) or isinstance(serde, StrictSerializer):
        return serde
    if serde.pickle_fallback:
        hint = "Leave pickle_fallback out, or give StrictSerializer() of langchain_r2.serializer."
        raise BadValueError(f"serde of the {name}", "one that reads pickles", "one that does not: they run code", hint)
    chosen = type(serde) is not JsonPlusSerializer or isinstance(getattr(serde, "_allowed_msgpack_modules", None), set)
    return serde if chosen else StrictSerializer()
