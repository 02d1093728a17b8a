"""The command line, with scripted models: what it prints, what it writes, how it exits."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from langchain_r2 import ModelPool, cli, cli_batch, create_r2_graph
from langchain_r2._version import __version__
from langchain_r2.errors import BadValueError, RejectedError
from langchain_r2.evals.benchmarks import Selection
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.run_record import read_records
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool

Cli = Callable[..., Result]

FILE_POOL = """
[[models]]
name = "local"
model = "m"
base_url = "http://localhost:1/v1"
api_key_env = "R2_TEST_KEY"
price = { input = 1.0, output = 1.0 }
"""


def weak(prompt: str) -> Any:
    """Plans, fails at sums that have a 7 in them, and raises on what says so."""
    if "refuse" in prompt:
        raise RejectedError("refused")
    if prompt.startswith("plan"):
        return "1 : 33 * 50\n2 : #1 + 7" if "boxes" in prompt else f"1 : {prompt.removeprefix('plan : ')}"
    if "7" in prompt:
        return scripted_message("answer: [bold]1\x1b[31m", prompt, 0.2)
    return scripted_message("answer: 1650", prompt, 0.99)


@pytest.fixture
def pool() -> ModelPool:
    return scripted_pool(
        weak, lambda p: "answer: 1657" if "refuse" not in p else RejectedError("no"), prompt_style="bare"
    )


@pytest.fixture
def invoke(pool: ModelPool, monkeypatch: pytest.MonkeyPatch) -> Cli:
    def build_graph(name: str, *, check: bool = True, **kept: Any) -> Any:
        assert name == "embedded"
        router: Any = {"decomposer": PromptedDecomposer(pool["m1"]), "allocator": FixedAllocator(pool, "m1")}
        return create_r2_graph(pool, **router, **kept)

    monkeypatch.setattr(cli, "build_graph", build_graph)
    return run


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)


def calls(pool: ModelPool) -> int:
    return sum(len(m.model.call_history) for m in pool if isinstance(m.model, ScriptedChatModel))


def write_queries(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [{"query": "boxes"}, {"id": "x", "query": "a sum", "gold": "5"}, {"query": "another"}]
    return write_queries(tmp_path / "in.jsonl", *rows)


class TestAsk:
    def test_shows_plan_tries_answer_and_bill(self, invoke: Cli) -> None:
        result = invoke("ask", "33 boxes and 7")
        assert result.exit_code == 0
        text = result.stdout
        assert re.search(r"^ ?1 +33 \* 50", text, re.MULTILINE)
        assert re.search(r"^ ?2 +#1 \+ 7 +1", text, re.MULTILINE)
        assert re.search(r"2 +m1 +allocated +0\.200 +\[bold\]1\\x1b\[31m", text)
        assert re.search(r"2 +↑ m2 +low_confidence +1\.000 +1657", text)
        assert "accepted: confident" in text
        assert "Answer: 1657" in text
        assert re.search(r"decomposer +1 +\d+ +\d+ +0\.0000\d+ +\d+\.\d%", text)
        assert re.search(r"of it the router +\d+\.\d%", text)
        assert "\x1b" not in text
        assert result.stderr == ""

    def test_writes_the_runs_page(self, invoke: Cli, tmp_path: Path) -> None:
        file = tmp_path / "run.html"
        assert invoke("ask", "33 boxes", "--trace", file).exit_code == 0
        page = file.read_text(encoding="utf-8")
        assert '"query":"33 boxes"' in page
        assert '"prompt":"plan : 33 boxes"' in page

    def test_a_page_that_cannot_be_written_shows_before_anything_is_paid(
        self, invoke: Cli, pool: ModelPool, tmp_path: Path
    ) -> None:
        result = invoke("ask", "33 boxes", "--trace", tmp_path)
        assert result.exit_code == 2
        assert "trace" in result.stderr
        assert calls(pool) == 0

    def test_shows_what_was_run_in_a_subtasks_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plans = {"plan : hard": "1 : part 7\n2 : #1 + 1", "plan : part 7": "1 : easy\n2 : #1 + 2"}
        hard = scripted_message("answer: 5", "", 0.1)
        pool = scripted_pool(
            lambda p: plans.get(p, hard if p == "solve : part 7" else "answer: 6"), prompt_style="bare"
        )
        graph = create_r2_graph(pool, decomposer=PromptedDecomposer(pool["m1"]), allocator=FixedAllocator(pool, "m1"))
        monkeypatch.setattr(cli, "build_graph", lambda *_, **__: graph)
        text = run("ask", "hard").stdout
        assert re.search(r"⇄ 1\.1 +easy", text)
        assert re.search(r"1\.2 +⇄ m1", text)

    def test_json_prints_one_record_and_nothing_else(self, invoke: Cli) -> None:
        result = invoke("ask", "33 boxes é", "--json")
        assert result.exit_code == 0
        assert result.stdout.count("\n") == 1
        record = json.loads(result.stdout)
        assert (record["query"], record["answer"], record["status"]) == ("33 boxes é", "1657", "ok")
        assert result.stderr == ""

    def test_record_appends(self, invoke: Cli, tmp_path: Path) -> None:
        file = tmp_path / "r.jsonl"
        for _ in range(2):
            assert invoke("ask", "33 boxes", "--record", file).exit_code == 0
        assert [r["answer"] for r in read_records(file)] == ["1657", "1657"]

    def test_a_record_file_that_cannot_be_written_costs_nothing(
        self, invoke: Cli, pool: ModelPool, tmp_path: Path
    ) -> None:
        result = invoke("ask", "33 boxes", "--record", tmp_path)
        assert result.exit_code == 2
        assert "can be written" in result.stderr
        assert calls(pool) == 0

    def test_no_answer_exits_with_3(self, invoke: Cli) -> None:
        result = invoke("ask", "refuse")
        assert result.exit_code == 3
        assert "No answer" in result.stdout
        assert "RejectedError" in result.stdout

    def test_a_budget_that_pays_for_nothing_exits_with_3(self, invoke: Cli, pool: ModelPool) -> None:
        result = invoke("ask", "33 boxes", "--budget-usd", "0.000001", "--json")
        assert result.exit_code == 3
        assert json.loads(result.stdout)["status"] == "budget_exhausted"
        assert calls(pool) == 0

    def test_max_attempts(self, invoke: Cli) -> None:
        record = json.loads(invoke("ask", "33 boxes", "--json", "--max-attempts", 1).stdout)
        assert record["status"] == "best_effort"
        assert len([a for a in record["attempts"] if a["subtask_id"] == "2"]) == 1

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["  "], "query is '  '"),
            (["x", "--budget-usd", "0"], "budget_usd is 0.0"),
            (["x", "--budget-usd", "nan"], "budget_usd is nan"),
            (["x", "--max-attempts", "0"], "max_attempts is 0"),
            (["x", "--budget-usd", "much"], "--budget-usd"),
            ([], "query"),
            (["x", "--colour"], "--colour"),
        ],
    )
    def test_wrong_use_exits_with_2_and_one_message(
        self, invoke: Cli, pool: ModelPool, arguments: list[str], says: str
    ) -> None:
        result = invoke("ask", *arguments)
        assert result.exit_code == 2
        assert says in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert calls(pool) == 0

    @pytest.mark.parametrize("as_json", [True, False])
    def test_an_error_that_nobody_foresaw_is_a_record(self, monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> None:
        class Broken:
            def invoke(self, *_: object, **__: object) -> None:
                raise ZeroDivisionError("odd")

        monkeypatch.setattr(cli, "build_graph", lambda *_, **__: Broken())
        result = run("ask", "x", *["--json"] * as_json)
        assert result.exit_code == 3
        assert "ZeroDivisionError: odd" in (json.loads(result.stdout)["error"] if as_json else result.stderr)


class TestBatch:
    def test_writes_a_record_per_query(self, invoke: Cli, source: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        result = invoke("batch", source, out)
        assert result.exit_code == 0
        records = {r["id"]: r for r in read_records(out)}
        assert {i: r["answer"] for i, r in records.items()} == {"1": "1657", "x": "1650", "3": "1650"}
        assert result.stdout == ""
        assert re.match(r"3 of 3 queries done, 3 answered, cost: 0\.000\d+ USD\n", result.stderr)

    def test_all_queries_together_keep_to_a_total(self, invoke: Cli, tmp_path: Path) -> None:
        source = write_queries(tmp_path / "in", *({"query": f"sum {i}"} for i in range(60)))
        out, limit = tmp_path / "out.jsonl", 0.00125
        result = invoke("batch", source, out, "--total-budget", limit)
        states = [r["status"] for r in read_records(out)]
        assert result.exit_code == 3
        assert {"ok", "budget_exhausted"} <= set(states)
        assert sum(r["cost_usd"] or 0.0 for r in read_records(out)) <= limit

    def test_a_failure_is_a_record_and_not_the_end(self, invoke: Cli, tmp_path: Path) -> None:
        source = write_queries(tmp_path / "in", {"query": "refuse"}, {"query": "a sum"})
        result = invoke("batch", source, tmp_path / "out", "--concurrency", 1)
        assert result.exit_code == 3
        assert [r["status"] for r in read_records(tmp_path / "out")] == ["error", "ok"]
        assert "2 of 2 queries done, 1 answered" in result.stderr

    def test_an_exception_is_a_record_with_unknown_cost(
        self, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path
    ) -> None:
        class Broken:
            async def ainvoke(self, *_: object, **__: object) -> None:
                raise BadValueError("prompt", "900 tokens", "at most 512 tokens")

        monkeypatch.setattr(cli, "build_graph", lambda *_, **__: Broken())
        result = run("batch", source, tmp_path / "out")
        assert result.exit_code == 3
        assert [r["cost_usd"] for r in read_records(tmp_path / "out")] == [None] * 3
        assert "0 answered, cost: 0.00 USD and 3 unknown" in result.stderr

    def test_resume_pays_for_nothing_twice(self, invoke: Cli, pool: ModelPool, source: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        assert invoke("batch", source, out, "--concurrency", 1).exit_code == 0
        whole, paid = out.read_bytes(), calls(pool)
        result = invoke("batch", source, out, "--resume")
        assert (result.exit_code, calls(pool), out.read_bytes()) == (0, paid, whole)
        assert "3 of 3 queries done" in result.stderr

        lines = whole.splitlines(keepends=True)
        out.write_bytes(b"".join(lines[:2]) + lines[2][:50])  # as a crash leaves it
        assert invoke("batch", source, out, "--resume").exit_code == 0
        assert [r["id"] for r in read_records(out)] == ["1", "x", "3"]
        assert out.read_bytes().startswith(b"".join(lines[:2]))
        assert calls(pool) == paid + 2  # its plan and its one subtask

    def test_resume_skips_failures_and_still_exits_with_3(self, invoke: Cli, pool: ModelPool, tmp_path: Path) -> None:
        source = write_queries(tmp_path / "in", {"query": "refuse"})
        assert invoke("batch", source, tmp_path / "out").exit_code == 3
        paid = calls(pool)
        assert invoke("batch", source, tmp_path / "out", "--resume").exit_code == 3
        assert calls(pool) == paid

    def test_resume_starts_a_file_that_is_not_there(self, invoke: Cli, source: Path, tmp_path: Path) -> None:
        assert invoke("batch", source, tmp_path / "out", "--resume").exit_code == 0

    def test_resume_refuses_records_of_other_queries(
        self, invoke: Cli, pool: ModelPool, source: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        invoke("batch", source, out)
        before, paid = out.read_bytes(), calls(pool)
        write_queries(source, {"query": "a new first line"}, {"query": "boxes"})
        result = invoke("batch", source, out, "--resume")
        assert result.exit_code == 2
        assert "The input has changed" in result.stderr
        assert (out.read_bytes(), calls(pool)) == (before, paid)

    @pytest.mark.parametrize("resume", [[], ["--resume"]])
    def test_an_output_with_something_else_in_it_is_refused(
        self, invoke: Cli, source: Path, tmp_path: Path, resume: list[str]
    ) -> None:
        out = tmp_path / "out"
        out.write_text("my notes")
        result = invoke("batch", source, out, *resume)
        assert result.exit_code == 2
        assert ("right file" if resume else "--resume") in result.stderr
        assert out.read_text() == "my notes"

    def test_without_resume_an_output_with_records_is_refused(
        self, invoke: Cli, pool: ModelPool, source: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.touch()
        assert invoke("batch", source, out).exit_code == 0
        before, paid = out.read_bytes(), calls(pool)
        assert invoke("batch", source, out).exit_code == 2
        assert (out.read_bytes(), calls(pool)) == (before, paid)

    def test_the_output_is_not_the_input(self, invoke: Cli, source: Path) -> None:
        before = source.read_bytes()
        result = invoke("batch", source, source, "--resume")
        assert (result.exit_code, source.read_bytes()) == (2, before)
        assert "other than the input" in result.stderr

    def test_the_budget_is_that_of_each_query(self, invoke: Cli, source: Path, tmp_path: Path) -> None:
        assert invoke("batch", source, tmp_path / "a", "--budget-usd", "0.000001").exit_code == 3
        assert {r["status"] for r in read_records(tmp_path / "a")} == {"budget_exhausted"}
        assert invoke("batch", source, tmp_path / "b", "--budget-usd", "0.005").exit_code == 0

    def test_queries_run_at_the_same_time_up_to_the_bound(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import asyncio

        running, most = 0, 0

        class Counting:
            async def ainvoke(self, *_: object, **__: object) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1
                raise ValueError

        monkeypatch.setattr(cli, "build_graph", lambda *_, **__: Counting())
        source = write_queries(tmp_path / "in", *[{"query": "x"}] * 9)
        run("batch", source, tmp_path / "out", "--concurrency", 4)
        assert most == 4

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "It has none"),
            ("\n\n", "It has none"),
            ("hello", "line 1 of the input is 'hello'"),
            ('{"query": "a"}\n[1]', "line 2 of the input"),
            ('{"id": "1"}', "query in line 1 is None"),
            ('{"query": " "}', "query in line 1"),
            ('{"query": "a", "id": null}', "id in line 1 is None"),
            ('{"query": "a", "id": true}', "id in line 1 is True"),
            ('{"query": "a", "id": 2}\n{"query": "b"}', "id of a query is '2'; allowed: every id once"),
        ],
    )
    def test_a_wrong_input_is_refused_before_anything_is_paid(
        self, invoke: Cli, pool: ModelPool, tmp_path: Path, text: str, says: str
    ) -> None:
        source = tmp_path / "in"
        source.write_text(text)
        result = invoke("batch", source, tmp_path / "out")
        assert result.exit_code == 2
        assert says in result.stderr
        assert calls(pool) == 0
        assert not (tmp_path / "out").exists()

    def test_files_that_cannot_be_used(self, invoke: Cli, pool: ModelPool, source: Path, tmp_path: Path) -> None:
        (tmp_path / "latin").write_bytes(b'{"query": "\xe9"}')
        for arguments in ([tmp_path / "none", "out"], [tmp_path, "out"], [tmp_path / "latin", "out"]):
            assert invoke("batch", *arguments).exit_code == 2
        for out in (tmp_path, tmp_path / "none" / "out"):
            assert invoke("batch", source, out).exit_code == 2
        assert invoke("batch", source, tmp_path / "out", "--concurrency", 0).exit_code == 2
        assert calls(pool) == 0

    def test_a_byte_order_mark_and_blank_lines_are_read_over(self, tmp_path: Path) -> None:
        file = tmp_path / "in"
        file.write_bytes(b'\xef\xbb\xbf{"query": "a\\u2028"}\r\n\r\n{"query": "b\xe2\x80\xa8c"}\r\n')
        assert list(cli_batch.read_queries(file)) == [("1", "a\u2028"), ("3", "b\u2028c")]


class TestInterrupt:
    def test_ask_exits_with_130(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted:
            def invoke(self, *_: object, **__: object) -> None:
                raise KeyboardInterrupt

        monkeypatch.setattr(cli, "build_graph", lambda *_, **__: Interrupted())
        assert run("ask", "x").exit_code == 130

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_batch_leaves_whole_records(self, tmp_path: Path) -> None:
        source = write_queries(tmp_path / "in", *[{"query": "x"}] * 200)
        script = tmp_path / "run.py"
        script.write_text(
            textwrap.dedent("""
            import signal

            import langchain_r2.cli as cli
            from langchain_r2 import create_r2_graph
            from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
            from langchain_r2.testing import ScriptedChatModel, scripted_pool

            pool = scripted_pool(ScriptedChatModel(script=["answer: 1"], delay_s=0.1))
            graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=FixedAllocator(pool, "m1"))
            cli.build_graph = lambda *_, **__: graph
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
            cli.main()
            """)
        )
        out = tmp_path / "out"
        command = [sys.executable, str(script), "batch", str(source), str(out), "--concurrency", "2"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=child_env()) as process:
            ends = time.monotonic() + 60
            while not (out.exists() and out.stat().st_size) and time.monotonic() < ends:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "go on with --resume" in stderr
        assert "Traceback" not in stderr
        records = read_records(out)
        assert 0 < len(records) < 200
        assert out.read_bytes().endswith(b"\n")


class TestPools:
    def test_a_pool_file_that_is_not_there(self) -> None:
        result = run("ask", "x", "--pool", "none.toml")
        assert result.exit_code == 2
        assert "no such file" in result.stderr
        assert "embedded" in result.stderr

    def test_a_missing_key_is_found_before_anything_is_written(
        self, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("R2_TEST_KEY", raising=False)
        file = tmp_path / "pool.toml"
        file.write_text(FILE_POOL)
        result = run("batch", source, tmp_path / "out", "--pool", file)
        assert result.exit_code == 2
        assert "R2_TEST_KEY" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_a_model_that_cannot_be_made(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.toml"
        file.write_text(FILE_POOL.replace("base_url", "#").replace("api_key_env", "#").replace('"m"', '"nobody:m"'))
        result = run("ask", "x", "--pool", file)
        assert result.exit_code == 2
        assert "'local'" in result.stderr
        assert "nobody" in result.stderr

    @pytest.mark.parametrize("command", [["ask", "x"], ["calibrate", "--probe", 10]])
    def test_a_provider_without_its_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[Any]
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        file = tmp_path / "pool.toml"
        file.write_text('[[models]]\nname = "a"\nmodel = "openai:x"\nprice = { input = 1, output = 1 }\n')
        result = run(*command, "--pool", file)
        assert result.exit_code == 2
        assert "openai:x" in result.stderr
        assert "OPENAI_API_KEY" in result.stderr

    def test_the_warning_about_calibration_is_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("R2_TEST_KEY", "made-up")
        file = tmp_path / "pool.toml"
        file.write_text(FILE_POOL)
        result = run("draw", "--pool", file)
        assert result.exit_code == 0
        assert result.stderr.count("\n") == 1
        assert "not calibrated" in result.stderr
        assert "UserWarning" not in result.stderr


class TestTrace:
    """``langchain-r2 trace``."""

    def test_makes_a_page_for_every_record(self, invoke: Cli, tmp_path: Path) -> None:
        file, out = tmp_path / "records.jsonl", tmp_path / "pages"
        for _ in range(2):
            invoke("ask", "33 boxes", "--record", file)
        result = invoke("trace", file, "--out", out)
        assert result.exit_code == 0
        assert result.stdout.strip() == str(out / "index.html")
        assert len(list((out / "runs").iterdir())) == 2

    @pytest.mark.parametrize("text", ["", "no record\n"])
    def test_a_file_without_records_is_wrong_use(self, invoke: Cli, tmp_path: Path, text: str) -> None:
        file = tmp_path / "records.jsonl"
        file.write_text(text)
        result = invoke("trace", file, "--out", tmp_path / "pages")
        assert result.exit_code == 2
        assert "record" in result.stderr
        assert not (tmp_path / "pages").exists()


class TestDraw:
    def test_mermaid(self, invoke: Cli) -> None:
        result = invoke("draw")
        assert result.exit_code == 0
        assert "reallocate_upward" in result.stdout

    def test_ascii(self, invoke: Cli) -> None:
        pytest.importorskip("grandalf")
        result = invoke("draw", "--format", "ascii")
        assert result.exit_code == 0
        assert "| decompose |" in result.stdout

    def test_ascii_without_the_extra(self, invoke: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(self: object) -> str:
            raise ImportError("Install grandalf")

        monkeypatch.setattr("langchain_core.runnables.graph.Graph.draw_ascii", missing)
        result = invoke("draw", "--format", "ascii")
        assert result.exit_code == 2
        assert "langchain-r2[draw]" in result.stderr

    @pytest.mark.parametrize("arguments", [["--format", "gif"], ["--format", "png"], ["--out", "no/where.svg"]])
    def test_what_cannot_be_drawn_is_wrong_use(self, invoke: Cli, arguments: list[str]) -> None:
        assert invoke("draw", *arguments).exit_code == 2

    @pytest.mark.parametrize(("name", "start"), [("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.md", b"graph TD")])
    def test_into_a_file_by_its_name(self, invoke: Cli, tmp_path: Path, name: str, start: bytes) -> None:
        assert invoke("draw", "--out", tmp_path / name).exit_code == 0
        assert (tmp_path / name).read_bytes().startswith(start)

    def test_a_run_is_laid_over_it(self, invoke: Cli, tmp_path: Path) -> None:
        file = tmp_path / "records.jsonl"
        for query in ("33 boxes", "other"):
            invoke("ask", query, "--record", file)
        first = json.loads(file.read_text().splitlines()[0])
        drawn = invoke("draw", "--run", file, "--run-id", first["id"]).stdout
        assert f"reallocate_upward<br/>{len(first['results'][1]['moves'])}x" in drawn
        assert "decompose<br/>1x, 0.0000" in drawn
        last = invoke("draw", "--run", file).stdout
        assert "execute_subtask<br/>1x" in last
        assert "execute_subtask<br/>1x" not in drawn
        assert invoke("draw", "--run", file, "--run-id", "none").exit_code == 2

    def test_without_xray(self, invoke: Cli) -> None:
        drawn = invoke("draw", "--no-xray").stdout
        assert "execute_plan" in drawn
        assert "reallocate_upward" not in drawn


class TestEval:
    @pytest.fixture
    def got(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Selection, dict[str, Any]]]:
        calls: list[tuple[Selection, dict[str, Any]]] = []
        monkeypatch.setattr(
            "langchain_r2.evals.run.evaluate", lambda chosen, **options: calls.append((chosen, options))
        )
        return calls

    def test_forwards(self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path) -> None:
        options = ["--split", "longer", "--limit", 5, "--seed", 7, "--methods", "r2, cot", "--concurrency", 3]
        assert run("eval", "arithmetic", *options, "--out", tmp_path).exit_code == 0
        (chosen, forwarded), *others = got
        assert not others
        wanted = {"benchmark": "arithmetic", "split": "longer", "limit": 5, "seed": 7, "items": 5, "data": None}
        assert chosen.facts.items() >= wanted.items()
        assert forwarded.pop("console")
        assert forwarded.pop("router")["pool"].name == "embedded"
        assert forwarded.pop("tools").judge is None
        assert forwarded == {"methods": ["r2", "cot"], "out": tmp_path, "concurrency": 3}

    def test_own_questions_with_a_pool_file_and_a_judge(
        self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("R2_TEST_KEY", "k")
        pool, questions = tmp_path / "pool.toml", tmp_path / "mine.jsonl"
        pool.write_text(FILE_POOL)
        questions.write_text('{"id": "a", "query": "Why?", "answer": "Because."}\n')
        result = run("eval", questions, "--grader", "llm", "--judge", "local", "--pool", pool)
        assert result.exit_code == 0, result.stderr
        [(chosen, forwarded)] = got
        assert [item.id for item in chosen.items] == ["a"]
        assert (chosen.facts["benchmark"], chosen.facts["grader"]) == ("mine", "llm")
        assert (forwarded["tools"].judge.name, forwarded["router"]["pool"].names) == ("local", ("local",))
        assert "not calibrated" in result.stderr

    def test_several_splits_have_a_folder_each(
        self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path
    ) -> None:
        assert run("eval", "arithmetic", "--split", "test, longer", "--out", tmp_path).exit_code == 0
        assert [(c.facts["split"], o["out"]) for c, o in got] == [
            ("test", tmp_path / "test"),
            ("longer", tmp_path / "longer"),
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            ["x"], ["--methods", ","], ["--split", ""], ["--split", "test,x"], ["--limit", "0"], ["gsm8k"],
            ["--grader", "x"], ["mine.jsonl"], ["--judge", "nobody"], ["--data", "x"],
        ],
    )  # fmt: skip
    def test_wrong_use_runs_nothing(self, monkeypatch: pytest.MonkeyPatch, wrong: list[str], tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        ran: list[object] = []
        monkeypatch.setattr("langchain_r2.evals.run._run_method", lambda *a: ran.append(a))
        assert run("eval", *wrong).exit_code == 2
        assert ran == []


def child_env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "LANGSMITH_TRACING": "false"}


def test_version() -> None:
    assert run("--version").stdout == f"langchain-r2 {__version__}\n"


def test_the_module_runs() -> None:
    command = [sys.executable, "-m", "langchain_r2.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_env(), check=True, timeout=60)
    assert all(name in done.stdout for name in ("ask", "batch", "draw", "eval"))


def test_a_narrow_encoding_breaks_nothing(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import langchain_r2.cli as cli
        from langchain_r2 import create_r2_graph
        from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
        from langchain_r2.testing import scripted_message, scripted_pool

        unsure = scripted_message("answer: 1", "", 0.1)
        pool = scripted_pool([unsure], ["answer: caf\\u00e9 \\ud800"])
        graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=FixedAllocator(pool, "m1"))
        cli.build_graph = lambda *_, **__: graph
        cli.main()
        """)
    )
    env = {**child_env(), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, str(script), "ask", "naïve"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=60)
    assert "Answer: caf\\xe9 \\xd800" in done.stdout
    assert "^ m2" in done.stdout
    assert done.stderr == ""
