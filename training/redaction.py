"""Takes out of texts what must not be learned: keys always, and what a function of the user's takes out."""

import importlib
from collections.abc import Callable

from langchain_r2.errors import BadValueError
from langchain_r2.scrubbing import scrubbed

Redact = Callable[[str], str]


def redactor(named: str | None = None) -> Redact:
    """What every text goes through before it is written: keys are hidden before and after the user's function.

    Args:
        named: ``module:function`` that takes a text and returns it redacted; None: none.

    Raises:
        BadValueError: There is no such function.
    """
    if named is None:
        return scrubbed
    module, _, name = named.partition(":")
    try:
        own: object = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        allowed = "module:function, importable from here"
        raise BadValueError("redaction", named, allowed, f"({type(error).__name__}: {error})") from error
    if not callable(own):
        raise BadValueError("redaction", named, "the name of a function")
    hook = own

    def redact(text: str) -> str:
        try:
            said = hook(scrubbed(text))
        except Exception as error:  # whatever it raises: a text that it could not look at is not written
            raise BadValueError(f"redaction {named}", type(error).__name__, "a function that returns a text") from error
        if not isinstance(said, str):
            raise BadValueError(f"redaction {named}", type(said).__name__, "a function that returns a text")
        return scrubbed(said)

    return redact
