"""Keeps keys out of texts that are kept or shown: messages of errors, records, metadata of checkpoints and traces.

A server may echo the key that it was sent (``401: no such key: ...``), a caller may put one into ``metadata``.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import SecretStr

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 8
"""A value of fewer characters is no key, and would be found in ordinary words."""

_NAME: Final = re.compile(
    r"(?:.*[_-])?(?:(?:api|access|auth|bearer|private|secret|refresh)[_-]?(?:key|token)|apikey|token|secret|password|"
    r"passwd|credentials?|authorization)(?:[_-](?:key|id|value))?",
    re.IGNORECASE,
)
_PATTERNS: Final = (
    (("://",), re.compile(r"(?<=://)[^/\s@]{1,500}@"), HIDDEN + "@"),  # a password in an address
    (("bearer",), re.compile(r"\b(bearer\s+)(?!\[hidden\])[^\s\"',;)}\]]{4,}", re.IGNORECASE), r"\1" + HIDDEN),
    (("sk-", "pk-", "rk-"), re.compile(r"\b(?:sk|pk|rk)-[\w-]{8,}"), HIDDEN),
    (
        ("key", "token"),
        re.compile(
            r"(?i)((?:api|access)[_-]?(?:key|token)[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?!\[hidden\])[^\s\"',;&)}\]]{4,}"
        ),
        r"\1" + HIDDEN,
    ),
)


@lru_cache(maxsize=4096)
def is_secret_name(name: object) -> bool:
    """Whether a setting of that name holds a key: ``api_key``, ``OPENAI_API_KEY``, ``auth-token``, ``password``."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _holds_a_key(variable: str) -> bool:
    return is_secret_name(variable) or variable.upper().endswith("_KEY")


def secrets_of(model: object, variable: str | None = None) -> tuple[str, ...]:
    """The keys that a chat model holds as ``SecretStr``, and the one in an environment variable."""
    fields = vars(model) if hasattr(model, "__dict__") else {}
    held = [value.get_secret_value() for value in fields.values() if isinstance(value, SecretStr)]
    return tuple(key for key in (*held, os.environ.get(variable, "") if variable else "") if key)


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without keys: those given, those in environment variables named as keys are, and what looks like one."""
    text = without(text, [*secrets, *(value for name, value in os.environ.items() if _holds_a_key(name))])
    lower = text.lower()
    for parts, pattern, instead in _PATTERNS:
        if any(part in lower for part in parts):  # found much faster than the pattern
            text = pattern.sub(instead, text)
    return text


def without(text: str, secrets: Iterable[str]) -> str:
    """A text without some keys, longest first: one may be part of another."""
    for secret in sorted({s.strip() for s in secrets if len(s.strip()) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def without_secret_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose names are those of keys left out; keys in other values are hidden."""
    kept = {name: value for name, value in settings.items() if not is_secret_name(name)}
    return {n: scrubbed(v) if isinstance(v, str) and len(v) >= _SHORTEST else v for n, v in kept.items()}


class KeyFilter(logging.Filter):
    """For loggers of libraries that show what a server sent: keys do not pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide keys in the message."""
        record.msg, record.args = scrubbed(record.getMessage()), ()
        return True


class StreamScrubber:
    """Hides keys in bytes that come in parts; only what may be the beginning of a key is held back."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Set the keys."""
        self._secrets = [s for s in secrets if len(s) >= _SHORTEST]
        self._held = b""

    def feed(self, part: bytes) -> bytes:
        """What of it, and of what was held, may be shown."""
        found = without_bytes(self._held + part, self._secrets)
        cut = len(found) - max((_overlap(found, secret) for secret in self._secrets), default=0)
        self._held = found[cut:]
        return found[:cut]

    def end(self) -> bytes:
        """What is still held: the beginning of a key at most."""
        held, self._held = self._held, b""
        return held


def without_bytes(data: bytes, secrets: Iterable[str]) -> bytes:
    """As :func:`without`, for bytes."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            data = data.replace(secret.encode(), HIDDEN.encode())
    return data


def _overlap(found: bytes, key: str) -> int:
    """How many bytes at the end are the beginning of a key."""
    secret = key.encode()
    longest = min(len(found), len(secret) - 1)
    return next((n for n in range(longest, 0, -1) if found.endswith(secret[:n])), 0)
