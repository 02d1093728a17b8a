"""Loopback servers that stand for LangSmith's API and for an OTLP collector: they keep what arrives."""

import email
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

INGEST: Final = {
    "use_multipart_endpoint": True,
    "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 16,
    "scale_down_nempty_trigger": 4,
    "size_limit": 100,
    "size_limit_bytes": 20971520,
}
"""How LangSmith says that runs are to be sent; with a field missing, its client's thread ends and nothing is."""


@dataclass
class Sink:
    """What arrived."""

    url: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Path, content type, body as it is after unpacking."""

    def text(self) -> str:
        """All of it, to look for keys in."""
        return "\n".join(body.decode(errors="replace") for _, _, body in self.requests)


@contextmanager
def sink() -> Iterator[Sink]:
    """Start a server on a free loopback port; ends it afterwards."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """LangSmith's ``/info``: how runs may be sent."""
            self._reply({"batch_ingest_config": INGEST})

        def do_POST(self) -> None:
            body = self._body()
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            kept.requests.append((self.path, self.headers.get("Content-Type", ""), body))
            self._reply({})

        do_PATCH = do_POST  # noqa: N815 - the base class's name

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _reply(self, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Seen:
    """A run as a back end has it."""

    id: str
    parent: str | None
    name: str
    kind: str
    facts: dict[str, Any]
    """Metadata, by name."""
    fields: dict[str, Any]
    """All else."""


def langsmith_runs(kept: Sink) -> list[Seen]:
    """The runs of multipart requests: parts ``post.ID`` and ``patch.ID``, large fields in parts of their own.

    A run's patch holds over its post, whichever came first: the client may send them in either order.
    """
    sent: dict[str, dict[str, dict[str, Any]]] = {"post": {}, "patch": {}}
    for path, kind, body in kept.requests:
        if not path.startswith("/runs/multipart"):
            continue
        whole = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts: Any = whole.get_payload()
        for part in parts:
            name = part.get_param("name", header="content-disposition")
            verb, id_, *inner = name.split(".")
            value = json.loads(part.get_payload(decode=True))
            sent[verb].setdefault(id_, {}).update({inner[0]: value} if inner else value)
    runs = {id_: {**posted, **sent["patch"].get(id_, {})} for id_, posted in sent["post"].items()}
    return [
        Seen(id_, run["parent_run_id"], run["name"], run["run_type"], run["extra"].get("metadata", {}), run)
        for id_, run in runs.items()
    ]


def otlp_spans(kept: Sink) -> list[Seen]:
    """The spans of OTLP requests."""
    spans = []
    for path, _, body in kept.requests:
        assert path == "/v1/traces", path
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans += [_span(span) for scope in resource.scope_spans for span in scope.spans]
    return spans


def _span(span: Any) -> Seen:
    values = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
    facts = {k.removeprefix("langsmith.metadata."): v for k, v in values.items() if k.startswith("langsmith.metadata.")}
    values["times"] = (span.start_time_unix_nano, span.end_time_unix_nano)
    values["trace"] = span.trace_id.hex()
    kind = values.get("langsmith.span.kind", "")
    return Seen(span.span_id.hex(), span.parent_span_id.hex() or None, span.name, kind, facts, values)
