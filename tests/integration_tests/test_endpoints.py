"""Pools and prompted routers against an OpenAI-compatible server on loopback: what is really sent, and read back."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from langchain_r2 import ModelPool, ModelSpec, Price, R2Context, create_r2_graph
from langchain_r2.cli import app
from langchain_r2.ledger import bill
from langchain_r2.pool_check import check_pool
from langchain_r2.pool_file import load_pool
from langchain_r2.prompts import bare
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.types import Plan, Subtask

CANARY = "sk-canary-4711-do-not-show"
PRICE = Price(input=1.0, output=2.0)
PLAN = Plan(
    subtasks=[Subtask(id="1", text="a", depends_on=[]), Subtask(id="2", text="b #1", depends_on=["1"])],
    parse="clean", confidence=None, rejected=[],
)  # fmt: skip
Body = Mapping[str, Any]


def reply(
    text: str = "ready", *, logprobs: bool = False, usage: bool = True, tool: str | None = None
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool:
        function = {"name": tool, "arguments": '{"city": "Lima"}'}
        message |= {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}
    if logprobs:
        choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    counts = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    return {**whole, "usage": counts} if usage else whole


def full(body: Body) -> dict[str, Any]:
    """An endpoint that can do everything."""
    if "tools" in body:
        return reply(tool=body["tools"][0]["function"]["name"])
    if "response_format" in body:
        form = body["response_format"]["json_schema"]["schema"]["properties"]
        texts = {"subtasks": ["find a", "double #1"], "r2_sum": 5}
        value = {key: texts.get(key, (kind.get("enum") or [""])[-1]) for key, kind in form.items()}
        return reply(json.dumps(value), logprobs=bool(body.get("logprobs")))
    return reply(logprobs=bool(body.get("logprobs")))


class Server:
    """Answers by a function of the request, and keeps the requests."""

    def __init__(self) -> None:
        self.answer: Callable[[Body], Any] = full
        self.bodies: list[dict[str, Any]] = []
        self.url = ""

    def respond(self, body: dict[str, Any], key: str | None) -> tuple[int, Any]:
        self.bodies.append(body)
        made = self.answer(body)
        if isinstance(made, int):  # an error that repeats what it was sent, as some proxies do
            return made, {"error": {"message": f"no such model; you sent {key} to me"}}
        return 200, made


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, data = made.respond(body, self.headers.get("Authorization"))
            payload = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        made.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield made
        http.shutdown()
        thread.join()


@pytest.fixture
def file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool file with one model that declares all, whose address and key are in the environment."""
    monkeypatch.setenv("R2_TEST_URL", server.url)
    monkeypatch.setenv("R2_TEST_SECRET", CANARY)
    path = tmp_path / "pool.toml"
    path.write_text(
        """
        [[models]]
        name = "one"
        model = "served"
        base_url_env = "R2_TEST_URL"
        api_key_env = "R2_TEST_SECRET"
        capabilities = ["logprobs", "structured_output", "tools"]
        price = { input = 1, output = 2 }
        """
    )
    return path


def spec(server: Server, model: str = "served", *capabilities: str, **fields: Any) -> ModelSpec:
    return ModelSpec(
        name="r", model=model, base_url=server.url, price=PRICE, capabilities=frozenset(capabilities), **fields
    )


class TestCheck:
    def test_a_model_that_does_what_its_entry_says(self, server: Server, file: Path) -> None:
        result = CliRunner().invoke(app, ["pool", "check", str(file), "--json"])
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        (row,) = found["models"]
        assert [row[key] for key in ("reachable", "logprobs", "usage", "structured_output", "tools")] == [True] * 5
        assert (row["ok"], row["verdict"], row["price_known"]) == (True, "ready", True)
        assert found["cost_usd"] == pytest.approx(3 * (10 * 1 + 4 * 2) / 1e6)
        assert len(server.bodies) == 3
        assert all(body["max_completion_tokens"] <= 256 for body in server.bodies)

    def test_a_server_that_ignores_what_it_cannot_do(self, server: Server, file: Path) -> None:
        server.answer = lambda _: reply("5", usage=False)
        result = CliRunner().invoke(app, ["pool", "check", str(file)])
        assert result.exit_code == 3
        assert "take logprobs, structured_output, tools out of its capabilities" in result.stdout
        assert "no usage, so costs are unknown" in result.stdout
        assert "cost unknown USD" in result.stdout

    def test_a_server_that_refuses_to_be_asked_for_logprobs(self, server: Server) -> None:
        server.answer = lambda body: 400 if body.get("logprobs") else full(body)
        (row,) = asyncio.run(check_pool(ModelPool([spec(server)])))
        assert (row["reachable"], row["logprobs"], row["tools"], row["ok"]) == (True, False, True, True)
        assert row["verdict"] == "ready; its capabilities may also name structured_output, tools"

    @pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
    @pytest.mark.parametrize("status", [401, 404, 500])
    def test_no_key_is_shown_though_the_server_repeats_it(
        self, server: Server, file: Path, status: int, form: list[str]
    ) -> None:
        server.answer = lambda _: status
        result = CliRunner().invoke(app, ["pool", "check", str(file), *form])
        assert result.exit_code == 3
        assert "[hidden]" in result.stdout
        assert "[hidden]]" not in result.stdout
        assert f"HTTP {status}" in result.stdout
        assert CANARY not in result.output

    def test_a_server_that_is_not_there(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("R2_TEST_URL", "http://127.0.0.1:9/v1")
        result = CliRunner().invoke(app, ["pool", "check", str(file)])
        assert result.exit_code == 3
        assert "not usable" in result.stdout
        assert "The check cost 0.00 USD" in result.stdout

    def test_a_server_that_does_not_answer_in_time(self, server: Server, file: Path) -> None:
        gone = threading.Event()
        server.answer = lambda body: full(body) if gone.wait(5) else None
        result = CliRunner().invoke(app, ["pool", "check", str(file), "--deadline-s", "0.3"])
        gone.set()
        assert result.exit_code == 3
        assert "Timeout" in result.stdout
        assert "cost unknown USD" in result.stdout  # it may have been billed


class TestRouters:
    def test_a_plan_by_a_strict_schema_with_usage_and_probabilities(self, server: Server) -> None:
        router = PromptedDecomposer(spec(server, "served", "structured_output", "logprobs"))
        output = router.invoke({"query": "q"})
        assert [s["text"] for s in output["plan"]["subtasks"]] == ["find a", "double #1"]
        assert output["plan"]["parse"] == "clean"
        assert output["plan"]["confidence"] == pytest.approx(0.9048, abs=1e-4)
        (row,) = output["attempts"]
        assert (row["input_tokens"], row["output_tokens"]) == (10, 4)
        assert row["cost_usd"] == pytest.approx(18e-6)
        (body,) = server.bodies
        assert body["response_format"]["json_schema"]["strict"] is True
        assert (body["temperature"], body["max_completion_tokens"], body["logprobs"]) == (0.0, 1024, True)

    def test_an_allocation_by_schema(self, server: Server) -> None:
        pool = ModelPool([ModelSpec(name=f"m{i}", model="p:x", price=PRICE) for i in range(3)])
        router = PromptedAllocator(spec(server, "served", "structured_output"), pool, shuffle_aliases=False)
        output = asyncio.run(router.ainvoke({"query": "q", "plan": PLAN}))
        assert output["allocation"]["models"] == {"1": "m2", "2": "m2"}
        assert server.bodies[0]["response_format"]["json_schema"]["schema"]["properties"]["1"]["enum"] == [
            "a",
            "c",
            "d",
        ]

    def test_a_served_adapter_is_asked_by_its_name_with_the_prompt_of_its_training(self, server: Server) -> None:
        server.answer = lambda _: reply("1 : find a\n2 : double #1", logprobs=True)
        adapter = spec(server, "lora-decomposer", "logprobs", "structured_output", prompt_style="bare")
        output = PromptedDecomposer(adapter).invoke({"query": "q"})
        assert len(output["plan"]["subtasks"]) == 2
        (body,) = server.bodies
        assert body["model"] == "lora-decomposer"
        assert body["messages"] == [{"role": "user", "content": bare.decompose("q").user}]
        assert "response_format" not in body


def test_a_whole_run_over_a_pool_of_a_file(server: Server, file: Path) -> None:
    def answer(body: Body) -> dict[str, Any]:
        return full(body) if "response_format" in body else reply("answer: 8", logprobs=bool(body.get("logprobs")))

    server.answer = answer
    pool = load_pool(str(file))
    with pytest.warns(UserWarning, match="not calibrated"):
        graph = create_r2_graph(pool)
    result = graph.invoke({"query": "How many?"}, context=R2Context(budget_usd=0.1))
    assert (result["answer"], result["status"]) == ("8", "ok")
    assert [s["text"] for s in result["plan"]["subtasks"]] == ["find a", "double #1"]
    assert bill(result["attempts"]).cost_usd == pytest.approx(len(server.bodies) * 18e-6)


def test_a_provider_and_a_model_reach_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """``init_chat_model``, as for ``"openai:gpt-4o"`` in a pool file."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    model = ModelSpec(name="r", model="openai:some-model", price=PRICE, capabilities=frozenset({"logprobs"}))
    (row,) = asyncio.run(check_pool(ModelPool([model])))
    assert (row["reachable"], row["logprobs"], row["usage"]) == (True, True, True)
    assert {body["model"] for body in server.bodies} == {"some-model"}
