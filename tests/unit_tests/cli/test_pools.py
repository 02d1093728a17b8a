"""Pools that a command line names."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit_tests.cli.console import FILE_POOL, run


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
