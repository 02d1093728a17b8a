"""Pages that need nothing but themselves: data, style and script are in the one HTML file.

The policy in the page allows exactly its own script and style, by their hashes. Were a text of a model ever taken for
markup, it still could not run, load or send anything.
"""

import base64
import hashlib
import html
import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

from langchain_r2.scrubbing import scrubbed


def page(script: str, title: str, data: Any) -> str:  # noqa: ANN401 - any JSON value
    """Make a page.

    Args:
        script: Which of the scripts in ``assets`` shows the data.
        title: The page's title.
        data: What it shows; keys in its texts are hidden.
    """
    style, code = asset("style.css"), asset("common.js") + asset(script)
    sources = f"style-src '{_hash(style)}'; script-src '{_hash(code)}'"
    policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(scrubbed(title))}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<noscript>This page shows its data with a script of its own.</noscript>\n<main id="page"></main>\n'
        f'<script type="application/json" id="data">{embedded(without_keys(data))}</script>\n'
        f"<script>{code}</script>\n</body>\n</html>\n"
    )


def embedded(data: Any) -> str:  # noqa: ANN401 - any JSON value
    """Data as JSON inside a script element: ASCII, and nothing in it ends the element or begins a comment."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def without_keys(data: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Data with the keys in its texts hidden; numbers that JSON lacks become null."""
    seen: dict[str, str] = {}  # names and reasons repeat thousands of times

    def clean(value: Any) -> Any:  # noqa: ANN401 - as above
        if isinstance(value, str):
            if value not in seen:
                seen[value] = scrubbed(value)
            return seen[value]
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items()}
        return [clean(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return clean(data)


@cache
def asset(name: str) -> str:
    """A file of ``assets``."""
    return files("langchain_r2.trace").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
