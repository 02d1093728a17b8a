"""The command that serves the embedded models over HTTP, with a pool file that reaches them."""

import contextlib
import dataclasses
import json
from typing import Annotated

import typer

from langchain_r2.model_spec import Price
from langchain_r2.pool import ModelPool


def serve_embedded(
    *,
    domain: Annotated[str, typer.Option(help="Which models: those of arithmetic, or of scan.")] = "arithmetic",
    host: Annotated[str, typer.Option(help="Address to listen at. There is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes one that is free.")] = 8010,
) -> None:
    """Serve the embedded models and router as an OpenAI-compatible server, until interrupted.

    On stdout it writes a pool file that reaches them: langchain-r2 serve-embedded > pool.toml
    """
    from langchain_r2.embedded import embedded_pool
    from langchain_r2.embedded.server import base_url, listen, new_server, served_models

    pool, models = embedded_pool(domain), served_models(domain)
    server = new_server(models)
    with listen(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        url = base_url(listener)
        typer.echo(pool_toml(pool, url))
        typer.echo(f"base_url {url}, no key; models {', '.join(models)}", err=True)
        typer.echo("The pool file is on stdout: langchain-r2 ask --pool FILE. Ctrl-C ends the server.", err=True)
        server.run(sockets=[listener])


def pool_toml(pool: ModelPool, url: str) -> str:
    """A pool file for the models of a pool, served by their names at an address."""
    tables = [f"name = {_toml(f'{pool.name} over HTTP')}"]
    for spec in pool:
        rows = {
            "name": spec.name,
            "model": spec.name,
            "base_url": url,
            "prompt_style": spec.prompt_style,
            "capabilities": sorted(spec.capabilities),
            "context_tokens": spec.context_tokens,
            "max_output_tokens": spec.max_output_tokens,
            "skills": spec.skills,
        }
        lines = [f"{key} = {_toml(value)}" for key, value in rows.items()]
        tables.append("\n".join(["", "[[models]]", *lines, f"price = {_price(spec.price)}"]))
    return "\n".join(tables)


def _price(price: Price) -> str:
    usd = {key: "unknown" if usd is None else usd for key, usd in dataclasses.asdict(price).items()}
    return f"{{ {', '.join(f'{key} = {_toml(value)}' for key, value in usd.items())} }}"


def _toml(value: object) -> str:
    """A text, a number or a list of texts: TOML writes them as JSON does."""
    return json.dumps(value, ensure_ascii=False)
