"""A run as LangSmith and as an OTLP collector have it: sent by nothing but their environment variables."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration_tests.trace_sinks import Seen, Sink, langsmith_runs, otlp_spans, sink
from tests.integration_tests.traced_run import KEY

ROOT = Path(__file__).parents[2]
SECRET = "another-canary-77aa1"
ROLES = {"decomposer", "allocator", "executor"}
MOVES = {"reallocate_downward": "downward", "reallocate_upward": "upward", "replan": "replan"}


def traced(kept: Sink, way: str, settings: dict[str, str]) -> Any:
    """Run it in a process of its own, since LangSmith reads its variables once; gives the record."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LANGSMITH_", "LANGCHAIN_", "OTEL_"))}
    environment = {**clean, "LANGSMITH_TRACING": "true", "OTHER_API_KEY": SECRET, **settings}
    command = [sys.executable, "-m", "tests.integration_tests.traced_run", way]
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    assert kept.requests, made.stderr
    return json.loads(made.stdout)


def to_langsmith(way: str) -> tuple[Any, list[Seen], Sink]:
    with sink() as kept:
        settings = {"LANGSMITH_ENDPOINT": kept.url, "LANGSMITH_API_KEY": SECRET, "LANGSMITH_PROJECT": "r2"}
        return traced(kept, way, settings), langsmith_runs(kept), kept


def to_collector(way: str) -> tuple[Any, list[Seen], Sink]:
    with sink() as kept:
        address = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{kept.url}/v1/traces"}
        return traced(kept, way, {"LANGSMITH_TRACING_MODE": "otel", **address}), otlp_spans(kept), kept


WAYS = [
    pytest.param(to_langsmith, "sync", id="langsmith-sync"),
    pytest.param(to_langsmith, "async", id="langsmith-async"),
    pytest.param(to_collector, "sync", id="otlp-sync"),
    pytest.param(to_collector, "async", id="otlp-async"),
]


@pytest.mark.parametrize(("send", "way"), WAYS)
def test_a_run_arrives_whole(send: Any, way: str) -> None:
    record, spans, kept = send(way)
    paths = nested(spans)
    assert Counter(span.name for span in spans if span.name in MOVES) == dict.fromkeys(MOVES, 1)
    assert call_facts(spans) == record_facts(record)
    for span in spans:
        path = paths[span.id]
        inside = [name.removeprefix("subtask:") for name in path if name.startswith("subtask:")]
        if inside and span.name != "subtask":
            assert span.facts["r2_subtask"] == inside[-1], path
        if span.name in MOVES:
            assert span.facts["r2_direction"] == MOVES[span.name]
            assert span.facts["r2_reason"] == ("record" if span.name == "reallocate_downward" else "low_confidence")
            assert span.facts["r2_from"] in {"m1", "m2"}
        if span.name == "execute_subtask":
            assert {"r2_model", "r2_attempt", "r2_direction", "r2_reason", "r2_cost_usd", "r2_verdict"} <= {*span.facts}
    for text in (KEY, SECRET):
        assert text not in kept.text()
    assert "blue" in {span.facts.get("team") for span in spans}  # the caller's own metadata is there


def nested(spans: list[Seen]) -> dict[str, list[str]]:
    """Names of each span and of those around it, outermost first; one tree, all named and in time."""
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans)
    assert [span.name for span in spans if span.parent is None] == ["r2"]
    paths = {}
    for span in spans:
        at, path = span, [span.name]
        while at.parent is not None:
            at = by_id[at.parent]
            path.insert(0, at.name)
        assert all(path)
        paths[span.id] = path
        begin, end = span.fields.get("times") or (span.fields["start_time"], span.fields["end_time"])
        assert begin <= end
    tree = {tuple(path) for path in paths.values()}
    around = ("r2", "execute_plan", "subtask")
    assert (*around, "subtask:4", "execute_subtask", "executor:m2") in tree
    assert (*around, "subtask:4.1", "execute_subtask", "executor:m1") in tree  # a part runs in its subtask's task
    assert (*around, "subtask:4", "execute_subtask", "assess") in tree  # decisions are spans too
    assert ("r2", "decompose", "PromptedDecomposer", "decomposer:planner") in tree
    return paths


def call_facts(spans: list[Seen]) -> Counter[tuple[Any, ...]]:
    """What the spans of model calls say, as rows."""
    rows = []
    for span in spans:
        if span.kind != "llm":
            continue
        facts, usage = span.facts, span.facts["usage_metadata"]
        usage = json.loads(usage) if isinstance(usage, str) else usage  # OTLP has no nested attributes
        assert facts["ls_model_name"] == facts["r2_model"]
        assert span.name == f"{facts['r2_role']}:{facts['r2_model']}"
        if "trace" in span.fields:
            assert span.fields["gen_ai.request.model"] == facts["r2_model"]
            assert span.fields["gen_ai.usage.input_tokens"] == usage["input_tokens"]
            assert span.fields["gen_ai.usage.output_tokens"] == usage["output_tokens"]
        shown = [facts[f"r2_{n}"] for n in ("role", "model", "subtask", "direction", "reason", "attempt", "cost_usd")]
        rows.append((*shown, usage["input_tokens"], usage["output_tokens"]))
    return Counter(rows)


def record_facts(record: Any) -> Counter[tuple[Any, ...]]:
    """The same rows, of the run's record."""
    numbers: Counter[str] = Counter()
    rows = []
    for row in record["attempts"]:
        number = 1
        if row["role"] == "executor":
            numbers[row["subtask_id"]] += 1
            number = numbers[row["subtask_id"]]
        shown = [row["role"], row["model"], row["subtask_id"] or "", row["direction"], row["reason"], number]
        rows.append((*shown, row["cost_usd"], row["input_tokens"], row["output_tokens"]))
    assert {row[0] for row in rows} == ROLES
    return Counter(rows)


@pytest.mark.parametrize("send", [to_langsmith, to_collector], ids=["langsmith", "otlp"])
def test_the_root_has_the_bill(send: Any) -> None:
    record, spans, _ = send("sync")
    root = next(span.facts for span in spans if span.parent is None)
    assert root["r2_cost_usd"] == pytest.approx(record["cost_usd"])
    assert root["r2_status"] == record["status"]
    assert root["r2_calls"] == len(record["attempts"])
    assert 0 < root["r2_router_share"] < 1


BLOCKS = re.findall(r"```bash\n((?:export .*\n)+)```", (ROOT / "docs" / "tracing.md").read_text())


@pytest.mark.parametrize("block", BLOCKS, ids=["langsmith", "collector", "phoenix", "mlflow"])
def test_the_settings_of_the_how_to_work(block: str) -> None:
    settings = dict(re.findall(r'export (\w+)="?([^"\n]*)"?', block))
    with sink() as kept:
        address = settings.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        if address is None:
            settings["LANGSMITH_ENDPOINT"] = kept.url
        else:
            settings["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = kept.url + re.sub(r"http://127\.0\.0\.1:\d+", "", address)
        traced(kept, "sync", settings)
        assert len(langsmith_runs(kept) if address is None else otlp_spans(kept)) > 50
