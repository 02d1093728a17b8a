"""S5: only configured addresses are contacted, and none that may not be configured."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from langchain_r2 import R2Error
from langchain_r2.bounded_http import Origin
from tests.scoreboard.fault_server import Exchange, FaultServer, Play, head
from tests.scoreboard.graphs import ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged

REFUSED: Final = {
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:70/x",
    "no scheme": "127.0.0.1:8000/v1",
    "user and password": "http://user:canary-pass@127.0.0.1/v1",
    "host after a user": "http://127.0.0.1@evil.example/v1",
    "backslash": "http://evil.example\\@127.0.0.1/v1",
    "header injection": "http://127.0.0.1/v1\r\nX-Key: 1",
    "query": "http://127.0.0.1/v1?api-key=canary-pass",
    "link-local": "http://169.254.169.254/latest/meta-data",
    "link-local as a number": "http://2852039166/v1",
    "link-local in octal": "http://0251.0376.0251.0376/v1",
    "link-local in IPv6": "http://[::ffff:169.254.169.254]/v1",
    "link-local of IPv6": "http://[fe80::1]/v1",
    "metadata host": "http://metadata.google.internal/v1",
    "unicode host": "http://\u0430pi.example/v1",
    "unicode digits": "http://\u2460\u2461\u2466.0.0.1/v1",
}
_STATUSES: Final = ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect")
_SAYS: Final[dict[str, dict[str, Any]]] = {
    "input": {"base_url": "{}", "model": "other", "api_key": "x"},
    "configurable": {"configurable": {"base_url": "{}", "model": "other", "openai_api_base": "{}"}},
    "metadata": {"metadata": {"base_url": "{}"}},
}
_names = itertools.count()


def _moved(status: str, server: FaultServer) -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.send(head(status, 0, location=f"{server.other_url}/chat/completions"))

    return play


def _refused(name: str, url: str) -> Outcome:
    """A pool with that address cannot be made, and the message does not show it."""
    said = ""
    try:
        spec(url, "m")
    except R2Error as error:
        said = str(error)
    wrong = {"accepted": not said, "shown": url in said or "canary" in said}
    return judged("S5", f"refused: {name}", wrong, said=said[:200])


def _redirected(server: FaultServer, status: str, mode: Any) -> Outcome:
    name = f"s5x{next(_names)}"
    server.script(name, [_moved(status, server)] * 9)
    output = ask(graph_of([spec(server.url, name)]), f"id={name}", mode)
    wrong = {
        "followed": any(e.model == name for e in server.elsewhere),
        "an answer": output["answer"] is not None,
        "not asked": not server.of(name),
    }
    return judged("S5", f"redirect: {status}, {mode}", wrong, error=output["error"])


def _said_by(server: FaultServer, where: str) -> Outcome:
    """Input, config, and a model's reply name an address; the configured one is contacted."""
    name, place = f"s5x{next(_names)}", server.other_url
    graph = graph_of([spec(server.url, name)])
    said = {k: v.format(place) if isinstance(v, str) else {a: b.format(place) for a, b in v.items()}
            for k, v in _SAYS[where].items()}  # fmt: skip
    value = {"query": f"use base_url={place} id={name}", **(said if where == "input" else {})}
    output = graph.invoke(value, said if where != "input" else None)
    wrong = {
        "elsewhere": bool(server.elsewhere),
        "no answer": output["answer"] != name,
        "calls": len(server.of(name)) != 1,
    }
    return judged("S5", f"an address in {where}", wrong, answer=output["answer"])


def _told_elsewhere(server: FaultServer) -> Outcome:
    """A client library that asks for another address than the configured one is stopped before it sends."""
    name = f"s5x{next(_names)}"
    made = spec(server.url, name).chat_model()
    made.root_client.base_url = server.other_url  # type: ignore[attr-defined]
    try:
        made.invoke("q")
    except Exception as raised:  # noqa: BLE001 - which it is is shown
        said = f"{type(raised).__name__}: {raised}"
    else:
        said = ""
    return judged("S5", "another origin", {"sent": bool(server.elsewhere), "no error": not said}, said=said[:200])


def run(quick: bool) -> Iterator[Outcome]:
    """Addresses that are refused, redirects, and addresses that somebody else names."""
    for name, url in REFUSED.items():
        yield guarded("S5", name, partial(_refused, name, url))
    with FaultServer() as server:
        works: list[Callable[[], Outcome]] = [partial(_told_elsewhere, server)]
        works += [partial(_said_by, server, where) for where in _SAYS]
        statuses = _STATUSES[3:4] if quick else _STATUSES
        works += [partial(_redirected, server, s, mode) for s in statuses for mode in ("sync", "async")]
        for work in works:
            yield guarded("S5", "contact", work)


def _any_address() -> AbstractContextManager[Any]:
    return patch("langchain_r2.addresses.problem_with", lambda _url: None)


def _any_origin() -> AbstractContextManager[Any]:
    return patch.object(Origin, "check", lambda *_: None)


ROW: Final = Row(
    id="S5",
    title="addresses that are contacted",
    criterion="configured origins only, no redirects, refused before anything is sent",
    run=run,
    protections={"address rules": _any_address, "origin check": _any_origin},
)
