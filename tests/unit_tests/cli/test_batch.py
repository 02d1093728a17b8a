"""``langchain-r2 batch``: what it writes, what it does not pay again, how it stops."""

import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from rich.console import Console

from langchain_r2 import ModelPool
from langchain_r2.cli import many_queries, shared
from langchain_r2.cli.view import BatchView
from langchain_r2.errors import BadValueError
from langchain_r2.run_record import read_records
from tests.unit_tests.cli.console import Cli, calls, child_env, run, write_queries


class TestBatch:
    def test_writes_a_record_per_query(self, invoke: Cli, source: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        result = invoke("batch", source, out)
        assert result.exit_code == 0
        records = {r["id"]: r for r in read_records(out)}
        assert {i: r["answer"] for i, r in records.items()} == {"1": "1657", "x": "1650", "3": "1650"}
        assert result.stdout == ""
        assert re.match(r"3 of 3 queries done, 3 answered, cost: 0\.000\d+ USD\n", result.stderr)

    def test_a_record_says_that_it_may_be_learned_from_only_if_told_so(
        self, invoke: Cli, source: Path, tmp_path: Path
    ) -> None:
        assert invoke("batch", source, tmp_path / "plain").exit_code == 0
        assert all("for_training" not in r for r in read_records(tmp_path / "plain"))
        assert invoke("batch", source, tmp_path / "told", "--for-training").exit_code == 0
        assert [r.get("for_training") for r in read_records(tmp_path / "told")] == [True] * 3
        for command in (["ask", "boxes"], ["ask", "boxes", "--for-training"]):
            assert invoke(*command, "--record", tmp_path / "asked").exit_code == 0
        assert [r.get("for_training") for r in read_records(tmp_path / "asked")] == [None, True]

    def test_a_share_of_the_subtasks_is_explored(self, source: Path, tmp_path: Path) -> None:
        assert run("batch", source, tmp_path / "out", "--explore", 1).exit_code in (0, 3)
        rows = [row for record in read_records(tmp_path / "out") for row in record["attempts"]]
        assert "explored" in [row["reason"] for row in rows]

    def test_best_efforts_are_answers_and_counted(self, invoke: Cli, source: Path, tmp_path: Path) -> None:
        assert invoke("batch", source, tmp_path / "out").exit_code == 0
        record = read_records(tmp_path / "out")[0]
        view = BatchView(Console(quiet=True), total=2, done=[record, {**record, "status": "best_effort"}])
        assert view.summary.startswith("2 of 2 queries done, 2 answered (1 best effort), cost")

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

        monkeypatch.setattr(shared, "build_graph", lambda *_, **__: Broken())
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

        monkeypatch.setattr(shared, "build_graph", lambda *_, **__: Counting())
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
        assert list(many_queries.read_queries(file)) == [("1", "a\u2028"), ("3", "b\u2028c")]


class TestInterrupt:
    def test_ask_exits_with_130(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted:
            def invoke(self, *_: object, **__: object) -> None:
                raise KeyboardInterrupt

        monkeypatch.setattr(shared, "build_graph", lambda *_, **__: Interrupted())
        assert run("ask", "x").exit_code == 130

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_batch_leaves_whole_records(self, tmp_path: Path) -> None:
        source = write_queries(tmp_path / "in", *[{"query": "x"}] * 200)
        script = tmp_path / "run.py"
        script.write_text(
            textwrap.dedent("""
            import signal

            from langchain_r2 import cli
            from langchain_r2.cli import shared
            from langchain_r2 import create_r2_graph
            from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
            from langchain_r2.testing import ScriptedChatModel, scripted_pool

            pool = scripted_pool(ScriptedChatModel(script=["answer: 1"], delay_s=0.1))
            graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=FixedAllocator(pool, "m1"))
            shared.build_graph = lambda *_, **__: graph
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
