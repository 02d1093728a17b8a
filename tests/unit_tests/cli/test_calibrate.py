"""``langchain-r2 calibrate`` on scripted models: what it asks, writes, shows, and refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from langchain_r2 import ModelPool, cli
from langchain_r2.cli import calibration_run
from langchain_r2.confidence import Confidence
from langchain_r2.confidence.file import CalibrationFile
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool

COUNT = 40
Calibrate = Callable[..., Result]


def knows(share: float, *, tells: bool = True, mute: bool = False) -> Callable[[str], Any]:
    """Right on the first numbers; sure where it is right, unless it cannot tell."""

    def script(prompt: str) -> Any:
        number = int(prompt.split()[2])  # "solve : 7 plus 10"
        right = number < share * COUNT
        sure = (0.9 if right else 0.3) - number / 1000 if tells else (number * 7 % 10 + 1) / 20
        return scripted_message(f"answer: {number + 10 if right else 0}", prompt, None if mute else sure)

    return script


def calls(pool: ModelPool) -> list[int]:
    return [len(m.model.call_history) for m in pool if isinstance(m.model, ScriptedChatModel)]


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"text": f"{i} plus 10", "answer": i + 10}) + "\n" for i in range(COUNT)))
    return path


@pytest.fixture
def calibrate(items: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrate:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # drawing takes seconds

    def run(pool: ModelPool, *arguments: object, source: tuple[object, ...] = ("--items", items)) -> Result:
        monkeypatch.setattr(calibration_run, "resolve_pool", lambda _: pool)
        words = ["calibrate", "--pool", tmp_path / "my.toml", *source, *arguments]
        return CliRunner().invoke(cli.app, [str(w) for w in words], catch_exceptions=False)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.calibration.json"


def test_it_writes_what_it_measured_beside_the_pool(calibrate: Calibrate, file: Path) -> None:
    pool = scripted_pool(knows(0.5), knows(0.7, tells=False), knows(1.0), prompt_style="bare")
    result = calibrate(pool)
    assert result.exit_code == 0
    assert calls(pool) == [COUNT] * 3
    written = CalibrationFile.read(file)
    assert [(m.accuracy, m.calibration.weak) for m in written.models.values()] == [
        (0.5, False), (0.7, True), (1.0, False)
    ]  # fmt: skip
    assert written.models["m1"].calibration.precision == 1.0
    assert len(written.data_sha256) == 64
    assert written.versions.keys() == {"python", "langchain-r2", "langchain-core", "langgraph"}
    assert "m1: usable" in result.stdout
    assert "m2: too weak to route on: the AUROC interval [" in result.stdout
    assert "m3: not measurable: 40 right and 0 wrong answers, 5 of each are needed" in result.stdout
    assert "order m1 < m2 < m3" in result.stdout


def test_the_bill_stays_under_the_estimate(calibrate: Calibrate) -> None:
    result = calibrate(scripted_pool(knows(0.5), knows(1.0), prompt_style="bare"))
    lines = {line.split(":")[0]: line for line in result.stderr.splitlines()}
    most = float(lines["2 models, 40 items each"].split("at most ")[1].split()[0])
    cost = float(lines["cost"].split()[1])
    assert cost == pytest.approx(40 * (5 + 2) * (1 + 2) / 1e6, rel=0.01)  # words in and out, USD of both models
    assert cost < most


def test_kinds_with_enough_items_have_a_calibration_of_their_own(calibrate: Calibrate, tmp_path: Path) -> None:
    rows = [{"text": f"{i} plus 10", "answer": i + 10, "kind": "even" if i % 2 == 0 else "odd"} for i in range(79)]
    path = tmp_path / "kinds.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    result = calibrate(scripted_pool(knows(1.0), prompt_style="bare"), source=("--items", path))
    (row,) = CalibrationFile.read(tmp_path / "my.calibration.json").models.values()
    assert list(row.kinds) == ["even"]  # 40 items; there are 39 odd ones
    assert row.kinds["even"].data_sha256 != row.calibration.data_sha256
    assert "m1: usable; by kind: even" in result.stdout


def test_models_without_token_probabilities_are_measured_by_samples(calibrate: Calibrate, file: Path) -> None:
    turn = iter(range(100_000))

    def unsure(prompt: str) -> Any:
        number = int(prompt.split()[2])
        answer = number + 10 if number < 20 else next(turn) + 1000  # knows half, and guesses the rest
        return scripted_message(f"answer: {answer}", prompt, None)

    pool = scripted_pool(unsure, knows(0.5), prompt_style="bare")
    assert calibrate(pool, "--samples", 2).exit_code == 0
    assert calls(pool) == [3 * COUNT, COUNT]
    found = {name: m.calibration for name, m in CalibrationFile.read(file).models.items()}
    assert [(c.signal, c.weak) for c in found.values()] == [("agreement", False), ("sequence", False)]
    confidence = Confidence.from_file(file)
    assert (confidence.signal, confidence.samples) == ("sequence", 2)


def test_without_any_signal_it_says_so(calibrate: Calibrate, file: Path) -> None:
    result = calibrate(scripted_pool(knows(0.25, mute=True), prompt_style="bare"))
    assert "m1: too weak to route on: it shows no signal" in result.stdout
    assert not Confidence.from_file(file).trusts("m1")


def test_keep_asks_only_whom_the_file_lacks(calibrate: Calibrate, file: Path) -> None:
    calibrate(scripted_pool(knows(0.25), knows(1.0), prompt_style="bare"))
    before = CalibrationFile.read(file).models
    pool = scripted_pool(knows(0.0), knows(0.0), knows(0.5), prices=[1.0, 9.0, 2.0], prompt_style="bare")
    without_m2 = ModelPool([pool["m1"], pool["m3"]])
    assert calibrate(without_m2, "--keep").exit_code == 0
    assert calls(pool) == [0, 0, COUNT]
    after = CalibrationFile.read(file).models
    assert list(after) == ["m1", "m3"]
    assert after["m1"] == before["m1"]


def test_keep_refuses_measurements_of_something_else(calibrate: Calibrate) -> None:
    pool = scripted_pool(knows(0.25), prompt_style="bare")
    calibrate(pool)
    result = calibrate(pool, "--keep", "--target", 0.8)
    assert result.exit_code == 2
    assert "without --keep" in result.stderr
    assert calls(pool) == [COUNT]


def test_a_model_with_gaps_is_left_out_and_the_exit_says_so(calibrate: Calibrate, file: Path) -> None:
    def flaky(prompt: str) -> Any:
        return ValueError("odd") if " 7 plus" in prompt else knows(0.5)(prompt)

    result = calibrate(scripted_pool(flaky, knows(0.5), prompt_style="bare"))
    assert result.exit_code == 3
    assert "m1: 1 of 40 items without a reply" in result.stderr
    assert list(CalibrationFile.read(file).models) == ["m2"]


def test_where_nobody_replies_nothing_is_written(calibrate: Calibrate, file: Path) -> None:
    assert calibrate(scripted_pool(lambda p: ValueError("odd"), prompt_style="bare")).exit_code == 3
    assert not file.exists()


def test_the_picture_lies_beside_the_file(calibrate: Calibrate, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.figure")
    calibrate(scripted_pool(knows(0.5), knows(1.0), prompt_style="bare"))
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_file_is_written_all_the_same(calibrate: Calibrate, file: Path) -> None:
    result = calibrate(scripted_pool(knows(0.5), prompt_style="bare"))
    assert result.exit_code == 0
    assert 'pip install "langchain-r2[draw]"' in result.stderr
    assert file.exists()
    assert not file.with_suffix(".png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--probe", 30], "exactly one"), (["--target", 1], "target is 1.0"), (["--signal", "vibes"], "signal"),
        (["--samples", -1], "samples"), (["--verifier", "m9"], "no model 'm9'"), (["--out", "x.txt"], "ends in .json"),
        (["--out", "/nowhere/x.json"], "can be written"), (["--budget-usd", 1e-6], "Nothing was asked"),
        (["--budget-usd", "much"], "--budget-usd"),
    ],
)  # fmt: skip
def test_wrong_use_costs_nothing(calibrate: Calibrate, arguments: list[object], says: str) -> None:
    pool = scripted_pool(knows(0.5), prompt_style="bare")
    result = calibrate(pool, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert calls(pool) == [0]


def test_the_command_line_uses_the_calibration_beside_the_pool(
    calibrate: Calibrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = scripted_pool(knows(0.25), knows(1.0), prompt_style="bare")
    calibrate(pool)
    monkeypatch.setattr("langchain_r2.calibrate.named.resolve_pool", lambda _: pool)
    result = CliRunner().invoke(cli.app, ["ask", "9 plus 10", "--pool", str(tmp_path / "my.toml"), "--json"])
    assert "order m1 < m2" in result.stderr
    assert "my.calibration.json" in result.stderr
