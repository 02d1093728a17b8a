"""``langchain-r2 eval``: what it forwards."""

from pathlib import Path
from typing import Any

import pytest

from langchain_r2.evals.benchmarks import Selection
from langchain_r2.evals.run import Limits
from tests.unit_tests.cli.console import FILE_POOL, run


class TestEval:
    @pytest.fixture
    def got(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Selection, dict[str, Any]]]:
        calls: list[tuple[Selection, dict[str, Any]]] = []

        def evaluate(chosen: Selection, **options: Any) -> bool:
            calls.append((chosen, options))
            return True

        monkeypatch.setattr("langchain_r2.evals.run.evaluate", evaluate)
        monkeypatch.setattr("langchain_r2.eval_page.write_page", lambda folder: folder / "report.html")
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
        assert forwarded.pop("limits") == Limits(concurrency=3)  # nobody is asked: all models run in this process
        assert forwarded == {
            "methods": ["r2", "cot"], "out": tmp_path, "validation": None, "cache": tmp_path / "calls.sqlite",
            "restart": False,
        }  # fmt: skip

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

    def test_what_is_tested_on_is_not_recorded_to_be_learned_from(
        self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path
    ) -> None:
        questions = tmp_path / "mine.jsonl"
        questions.write_text('{"id": "a", "query": "Why?", "answer": "Because."}\n')
        refused = run("eval", "arithmetic", "--split", "test", "--for-training")
        assert refused.exit_code == 2
        assert "tested on" in refused.stderr
        for what in (["arithmetic", "--split", "validation"], [questions, "--grader", "exact"], ["arithmetic"]):
            told = [] if what == ["arithmetic"] else ["--for-training"]
            assert run("eval", *what, *told, "--limit", 2, "--out", tmp_path).exit_code == 0
        assert [chosen.facts.get("for_training") for chosen, _ in got] == [True, True, None]

    def test_several_splits_have_a_folder_each(
        self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path
    ) -> None:
        assert run("eval", "arithmetic", "--split", "test, longer", "--out", tmp_path).exit_code == 0
        assert [(c.facts["split"], o["out"]) for c, o in got] == [
            ("test", tmp_path / "test"),
            ("longer", tmp_path / "longer"),
        ]

    def test_a_benchmark_s_own_embedded_pool_is_the_default(
        self, got: list[tuple[Selection, dict[str, Any]]], tmp_path: Path
    ) -> None:
        assert run("eval", "scan-commands", "--out", tmp_path).exit_code == 0
        assert run("eval", "scan-commands", "--pool", "embedded", "--out", tmp_path).exit_code == 0
        assert [options["router"]["pool"].name for _, options in got] == ["embedded-scan", "embedded"]

    def test_the_report_of_a_folder_without_an_evaluation(self, tmp_path: Path) -> None:
        result = run("report", tmp_path)
        assert result.exit_code == 2
        assert "langchain-r2 eval" in result.stderr

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
        monkeypatch.setattr("langchain_r2.evals.runner.Runner.run", lambda *a: ran.append(a))
        assert run("eval", *wrong).exit_code == 2
        assert ran == []
