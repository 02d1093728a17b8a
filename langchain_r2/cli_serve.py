"""The command that serves the embedded models over HTTP, with a pool file that reaches them."""

import contextlib
import json
from typing import Annotated

import typer

from langchain_r2.pool import ModelPool, Price


def serve_embedded(
    *,
    host: Annotated[str, typer.Option(help="Address to listen at. There is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes one that is free.")] = 8010,
) -> None:
    """Serve the embedded models and router as an OpenAI-compatible server, until interrupted.

    On stdout it writes a pool file that reaches them: langchain-r2 serve-embedded > pool.toml
    """
    from langchain_r2.embedded.server import base_url, listen, new_server, served_models  # noqa: PLC0415 - numpy
    from langchain_r2.pool_file import EMBEDDED, resolve_pool  # noqa: PLC0415

    pool, models = resolve_pool(EMBEDDED), served_models()
    server = new_server(models)
    with listen(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        url = base_url(listener)
        typer.echo(pool_toml(pool, url))
        typer.echo(f"base_url {url}, no key; models {', '.join(models)}", err=True)
        typer.echo("The pool file is on stdout: langchain-r2 ask --pool FILE. Ctrl-C ends the server.", err=True)
        server.run(sockets=[listener])


def pool_toml(pool: ModelPool, url: str) -> str:
    """A pool file for the models of a pool, served by their names at an address."""
    tables = [f"name = {json.dumps(f'{pool.name} over HTTP')}"]
    for spec in pool:
        rows = {
            "name": json.dumps(spec.name),
            "model": json.dumps(spec.name),
            "base_url": json.dumps(url),
            "prompt_style": json.dumps(spec.prompt_style),
            "capabilities": json.dumps(sorted(spec.capabilities)),
            "context_tokens": str(spec.context_tokens),
            "max_output_tokens": str(spec.max_output_tokens),
            "skills": json.dumps(spec.skills),
            "price": _price(spec.price),
        }
        tables.append("\n".join(["", "[[models]]", *(f"{key} = {value}" for key, value in rows.items())]))
    return "\n".join(tables)


def _price(price: Price) -> str:
    usd = {key: getattr(price, key) for key in ("input", "output", "cached_input")}
    rows = [f"{key} = {json.dumps('unknown' if value is None else value)}" for key, value in usd.items()]
    rows += [f"{key} = {json.dumps(getattr(price, key))}" for key in ("source", "date")]
    return f"{{ {', '.join(rows)} }}"
