"""One training text."""

from typing import NamedTuple


class Example(NamedTuple):
    """A prompt of the library's own, and the reply that is learned."""

    prompt: str
    reply: str
