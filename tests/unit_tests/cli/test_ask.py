"""``langchain-r2 ask``: what it prints and how it exits."""

import json
import re
from pathlib import Path

import pytest

from langchain_r2 import ModelPool, create_r2_graph
from langchain_r2.cli import shared
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.run_record import read_records
from langchain_r2.testing import scripted_message, scripted_pool
from tests.unit_tests.cli.console import Cli, calls, run


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
        monkeypatch.setattr(shared, "build_graph", lambda *_, **__: graph)
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

    def test_a_best_effort_is_called_so(self, invoke: Cli) -> None:
        result = invoke("ask", "33 boxes", "--max-attempts", 1)
        assert result.exit_code == 0
        assert "Best effort, not accepted: " in result.stdout
        assert "Answer: " not in result.stdout

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

        monkeypatch.setattr(shared, "build_graph", lambda *_, **__: Broken())
        result = run("ask", "x", *["--json"] * as_json)
        assert result.exit_code == 3
        assert "ZeroDivisionError: odd" in (json.loads(result.stdout)["error"] if as_json else result.stderr)
