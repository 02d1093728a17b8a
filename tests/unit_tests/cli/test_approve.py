"""``ask --approve`` asks in the terminal: on stderr, answers from standard input."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from langchain_r2.call_ledger import CallLedger
from langchain_r2.cli import app
from langchain_r2.cli.approve import ask_up

QUERY = "tom fills 33 boxes with 50 cards each and loses 20 . how many cards is that for tom ?"


def ask(*options: str, says: str) -> Any:
    return CliRunner().invoke(app, ["ask", "--json", *options, QUERY], input=says)


def record_of(result: Any) -> Any:
    return json.loads(result.stdout)


def test_a_plan_is_executed_after_yes() -> None:
    result = ask("--approve", says="y\n")
    assert result.exit_code == 0
    assert record_of(result)["answer"] == "1630"
    assert "33 times 50" in result.stderr
    assert "USD at worst" in result.stderr


def test_changes_are_gathered_and_wrong_ones_asked_for_again() -> None:
    says = "what\n7 = r2-max\n1 = nobody\ny\n2: #1 minus 30\n2 = r2-large\ny\n"
    result = ask("--approve", says=says)
    assert (result.exit_code, record_of(result)["answer"]) == (0, "1620")
    assert record_of(result)["allocation"]["models"]["2"] == "r2-large"
    assert "'what' is none of these" in result.stderr
    assert "the pool has no model 'nobody'" in result.stderr


@pytest.mark.parametrize(("says", "error"), [("n\n", "the plan was not approved"), ("", "standard input ended")])
def test_no_and_nobody_end_it_unanswered(says: str, error: str) -> None:
    result = ask("--approve", says=says)
    record = record_of(result)
    assert (result.exit_code, record["answer"], record["status"], record["error"]) == (3, None, "rejected", error)
    assert set(record["cost_by_role"]) == {"decomposer", "allocator"}


def test_a_dear_step_up_is_asked_about() -> None:
    options = ("--approve-upward", "0.00003")
    up, stay = ask(*options, says="maybe\ny\n"), ask(*options, says="n\n")
    assert "r2-medium answered '1650' (low_confidence" in up.stderr
    assert [a["model"] for a in record_of(up)["attempts"] if a["subtask_id"] == "1"] == ["r2-medium", "r2-large"]
    assert record_of(stay)["results"][0]["verdict"] == {"accepted": False, "reason": "not_approved"}
    assert record_of(ask(*options, says="= r2-max\n"))["results"][0]["model"] == "r2-max"


def test_a_text_of_a_model_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    costs = {"min_usd": None, "expected_usd": None, "worst_usd": None}
    asked: dict[str, Any] = {
        "problem": None,
        "subtask_id": "1",
        "text": "\x1b[2J",
        "model": "a",
        "to": "b",
        "reason": "refused",
    }
    request: Any = {**asked, "answer": None, "confidence": None, "estimate": costs}
    assert ask_up(request) == {"action": "approve"}
    shown = capsys.readouterr().err
    assert "\x1b[2J" not in shown
    assert "unknown USD at worst" in shown


def test_an_interrupted_question_is_asked_again_by_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    file = str(tmp_path / "calls.db")
    with monkeypatch.context() as patched:
        patched.setattr("langchain_r2.cli.approve.ask_plan", interrupted)
        assert ask("--approve", "--ledger", file, says="").exit_code == 130
    result = CliRunner().invoke(app, ["resume", "--json", "--ledger", file], input="y\n")
    assert (result.exit_code, record_of(result)["answer"]) == (0, "1630")
    assert "execute it?" in result.stderr
    with CallLedger(file) as ledger:
        assert ledger.open_runs().result() == []
    planned = [a for a in record_of(result)["attempts"] if a["role"] == "decomposer"]
    assert len(planned) == 1
