"""``langchain-r2 trace`` and ``draw``: what they write."""

import json
from pathlib import Path

import pytest

from tests.unit_tests.cli.console import Cli


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
