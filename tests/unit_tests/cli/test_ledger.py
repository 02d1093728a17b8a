"""The command line with a call ledger: what was killed goes on, and nothing is paid twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from langchain_r2 import ModelPool, cli, create_r2_graph
from langchain_r2.call_ledger import CallLedger
from langchain_r2.cli import shared
from langchain_r2.errors import LedgerError
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.run_record import read_records
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool

UNTIMED = {"wall_s": 0.0, "started_at": 0.0}


class Killing:
    """Answers, and at some subtask has the process interrupted, once."""

    def __init__(self) -> None:
        self.at: str | None = None

    def __call__(self, prompt: str) -> Any:
        if prompt.startswith("plan"):
            return "1 : first\n2 : second #1"
        if self.at and self.at in prompt:
            self.at = None
            raise KeyboardInterrupt
        return scripted_message("answer: 1", prompt)


class Kept:
    """The command line on a scripted pool."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.script, self.ledger, self.folder = Killing(), folder / "calls.db", folder
        self.pool: ModelPool = scripted_pool(self.script, prompt_style="bare")
        monkeypatch.setattr(shared, "build_graph", self._graph)

    def _graph(self, name: str, *, check: bool = True, explore: float = 0.0, **kept: Any) -> Any:
        router: Any = {"decomposer": PromptedDecomposer(self.pool["m1"]), "allocator": FixedAllocator(self.pool, "m1")}
        return create_r2_graph(self.pool, **router, **kept)

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)

    @property
    def calls(self) -> int:
        chat = self.pool["m1"].model
        assert isinstance(chat, ScriptedChatModel)
        return len(chat.call_history)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kept:
    return Kept(monkeypatch, tmp_path)


def test_an_interrupted_question_says_how_to_go_on_and_does(kept: Kept) -> None:
    kept.script.at = "second"
    result = kept.run("ask", "q", "--ledger", kept.ledger)
    assert result.exit_code == 130
    id_ = result.stderr.split("`")[1].split()[-1]
    assert f"langchain-r2 resume --ledger {kept.ledger}" in " ".join(result.stderr.split())
    assert kept.calls == 3
    result = kept.run("resume", id_, "--ledger", kept.ledger, "--json", "--record", kept.folder / "records")
    record = json.loads(result.stdout)
    assert (result.exit_code, record["id"], record["query"], record["answer"]) == (0, id_, "q", "1")
    assert kept.calls == 4
    assert [a["error_type"] for a in record["attempts"]] == [None, None, "LostReplyError", None]
    assert read_records(kept.folder / "records") == [record]


def test_without_an_id_the_newest_that_did_not_end(kept: Kept) -> None:
    for query in ("one", "two"):
        kept.script.at = "first"
        assert kept.run("ask", query, "--ledger", kept.ledger).exit_code == 130
    for query in ("two", "one"):
        assert json.loads(kept.run("resume", "--ledger", kept.ledger, "--json").stdout)["query"] == query
    result = kept.run("resume", "--ledger", kept.ledger)
    assert (result.exit_code, "a run that did not end" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["resume", "x", "--ledger", "{}"], "run is 'x'"), (["resume", "--ledger", "{}.not"], "wrote")],
)
def test_wrong_use(kept: Kept, arguments: list[str], said: str) -> None:
    kept.run("ask", "q", "--ledger", kept.ledger)
    result = kept.run(*[a.format(kept.ledger) for a in arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_run_that_ended_is_shown_again(kept: Kept) -> None:
    first = json.loads(kept.run("ask", "q", "--ledger", kept.ledger, "--json").stdout)
    sent = kept.calls
    again = json.loads(kept.run("resume", first["id"], "--ledger", kept.ledger, "--json").stdout)
    assert {**again, **UNTIMED} == {**first, **UNTIMED}
    assert kept.calls == sent


def test_a_batch_pays_for_nothing_twice(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = kept.folder / "in", kept.folder / "out"
    source.write_text("".join(json.dumps({"query": f"q{n}"}) + "\n" for n in range(3)))
    batch = ("batch", source, out, "--ledger", kept.ledger, "--concurrency", 1)
    kept.script.at = "second"
    assert kept.run(*batch).exit_code == 130
    assert kept.calls == 3  # plan and both subtasks of the first query; the last of them has no reply
    assert kept.run(*batch, "--resume").exit_code == 0
    assert kept.calls == 3 + 1 + 2 * 3
    assert [r["status"] for r in read_records(out)] == ["ok"] * 3


def test_a_query_that_ended_and_has_no_record_gets_it_from_the_ledger(kept: Kept) -> None:
    source, out = kept.folder / "in", kept.folder / "out"
    source.write_text(json.dumps({"query": "q"}) + "\n")
    batch = ("batch", source, out, "--ledger", kept.ledger)
    assert kept.run(*batch).exit_code == 0
    sent, (first,) = kept.calls, read_records(out)
    out.unlink()
    assert kept.run(*batch, "--resume").exit_code == 0
    assert kept.calls == sent
    assert {**read_records(out)[0], **UNTIMED} == {**first, **UNTIMED}
    source.write_text(json.dumps({"query": "other"}) + "\n")
    out.unlink()
    assert kept.run(*batch, "--resume").exit_code == 0
    assert read_records(out)[0]["query"] == "other"


def test_a_batch_that_does_not_resume_starts_anew(kept: Kept) -> None:
    source, out = kept.folder / "in", kept.folder / "out"
    source.write_text(json.dumps({"query": "q"}) + "\n")
    batch = ("batch", source, out, "--ledger", kept.ledger)
    assert kept.run(*batch).exit_code == 0
    sent = kept.calls
    out.unlink()
    assert kept.run(*batch).exit_code == 0
    assert kept.calls == 2 * sent


def test_a_ledger_that_cannot_be_used_costs_nothing(kept: Kept) -> None:
    kept.ledger.write_text("no database " * 100)
    result = kept.run("ask", "q", "--ledger", kept.ledger)
    assert (result.exit_code, kept.calls) == (2, 0)
    assert "call ledger" in result.stderr


def test_a_ledger_that_breaks_is_told(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LedgerError("calls.db", "disk full")

    monkeypatch.setattr(CallLedger, "send", broken)
    result = kept.run("ask", "q", "--ledger", kept.ledger)
    assert (result.exit_code, kept.calls) == (3, 0)
    assert "disk full" in result.stderr
