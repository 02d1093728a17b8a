"""Recorded runs as training data: what is learned, what nobody knows, what is taken out of the texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.embedded.bundle import HOME, embedded_pool
from langchain_r2.errors import BadValueError
from langchain_r2.evals.recorded import JudgedRun
from langchain_r2.run_record import to_json
from langchain_r2.types import RunRecord
from tests.unit_tests.evals.recording import pool_of, recorded
from training import commands_runs
from training.__main__ import main
from training.from_runs import Converted, converted
from training.items import split_of
from training.lines import read_lines
from training.redaction import redactor
from training.run_evidence import Evidence
from training.settings import PoolSettings, SftSettings
from training.sft import encoded
from training.sft_data import Text, texts_for

POOL = pool_of({})


def _run(models: Mapping[str, str], *, right: bool = True, **settings: Any) -> JudgedRun:
    return JudgedRun(recorded(models, **settings), right, "feedback")


def _converted(*runs: JudgedRun, redact: Any = str, same_text: bool = True, **options: Any) -> Converted:
    return converted(runs, POOL, redact, same_text=same_text, **options)


def _label(*runs: JudgedRun, **options: Any) -> Any:
    (row,) = _converted(*runs, **options).rows
    (plan,) = row["plans"]
    return plan["label"]


class TestLabels:
    def test_a_subtask_of_which_one_model_was_tried_is_censored(self) -> None:
        label = _label(_run({"1": "m3", "2": "m3"}))
        assert label["known"] == {"1": "censored", "2": "censored"}
        assert label["status"] == "censored"

    def test_a_step_up_shows_that_the_cheaper_model_did_not_do(self) -> None:
        label = _label(_run({"1": "m1", "2": "m1"}))
        assert label["models"] == {"1": "m2", "2": "m2"}
        assert set(label["known"].values()) == {"cheapest"}  # the only cheaper one failed
        assert (label["status"], label["ranks"]) == ("labelled", {"1": 2, "2": 2})
        assert label["cost_usd"] > 0

    def test_the_next_cheaper_one_failed_and_those_below_were_not_tried(self) -> None:
        label = _label(_run({"1": "m2", "2": "m2"}, sure={"m2": 0.1}))
        assert label["models"] == {"1": "m3", "2": "m3"}
        assert set(label["known"].values()) == {"next_failed"}

    def test_runs_of_the_same_question_know_more_together(self) -> None:
        alone, other = _run({"1": "m3", "2": "m3"}), _run({"1": "m2", "2": "m2"})
        label = _label(alone, other)
        assert label["models"] == {"1": "m2", "2": "m2"}
        assert set(label["known"].values()) == {"censored"}  # m1 was never tried
        assert set(_label(alone, other, _run({"1": "m1", "2": "m1"}))["known"].values()) == {"cheapest"}

    def test_a_wrong_run_gives_no_plan_and_its_answers_are_no_proof(self) -> None:
        made = _converted(_run({"1": "m3", "2": "m3"}, right=False))
        assert made.rows == []
        assert made.counts["wrong"] == 1
        assert made.outcomes == []

    @pytest.mark.parametrize(("same_text", "known"), [(True, "cheapest"), (False, "censored")])
    def test_another_answer_is_wrong_only_where_texts_are_to_agree(self, same_text: bool, known: str) -> None:
        wrong = _run({"1": "m2", "2": "m1"}, sure={"m1": 0.99}, right=False)
        label = _label(_run({"1": "m2", "2": "m2"}), wrong, same_text=same_text)
        assert label["models"]["2"] == "m2"
        assert label["known"]["2"] == known

    def test_a_model_that_the_pool_does_not_have_is_left_out(self) -> None:
        run = _run({"1": "m3", "2": "m3"})
        run.record["attempts"][-1]["model"] = "gone"
        made = _converted(run)
        assert (made.rows, made.counts["left_out"]) == ([], {"a model that the pool does not have": 1})

    def test_what_is_held_back_is_not_learned(self) -> None:
        made = _converted(_run({}), _run({}, query="other"), held_back=["  Q "])
        assert [row["query"] for row in made.rows] == ["other"]
        assert made.counts["left_out"] == {"its query is held back": 1}

    def test_what_the_answer_does_not_rest_on_is_no_proof(self) -> None:
        run = _run({"1": "m3", "2": "m3"})
        run.record["plan"][1]["depends_on"] = []
        evidence = Evidence([run], same_text=True)
        assert [sorted(seen.did) for seen in evidence.seen.values() if seen.did] == [["m3"]]


class TestOutcomes:
    def test_what_was_not_tried_is_not_known(self) -> None:
        rows = _converted(_run({"1": "m1", "2": "m2"})).outcomes
        assert {row["prompt"]: row["q"] for row in rows} == {
            "ask alpha": [0.0, 1.0, None],
            "ask even beta": [None, 1.0, None],
        }
        assert all((q is None) == (c is None) for row in rows for q, c in zip(row["q"], row["c"], strict=True))


class TestSplits:
    def test_a_query_is_always_in_the_same_split_and_they_are_apart(self) -> None:
        queries = [f"query {i}" for i in range(400)]
        splits = [split_of(query) for query in queries]
        assert splits == [split_of(f" {query.upper()}  ") for query in queries]
        share = {name: splits.count(name) / 400 for name in set(splits)}
        assert share["train"] == pytest.approx(0.8, abs=0.06)
        assert share["test"] == pytest.approx(0.1, abs=0.05)

    def test_no_split_learns_from_another(self) -> None:
        queries = [next(q for q in map(str, range(999)) if split_of(q) == name) for name in ("train", "test")]
        made = _converted(*(_run({"1": "m2", "2": "m2"}, query=query) for query in queries))
        assert [row["split"] for row in made.rows] == ["train", "test"]
        assert {row["split"] for row in made.outcomes} == {"train", "test"}


class TestRedaction:
    def test_every_text_is_redacted(self) -> None:
        made = _converted(
            _run({"1": "m1", "2": "m2"}, max_replans=1, reallocate_upward=False),
            redact=lambda text: text.replace("alpha", "X").replace("even", "Y").replace("q", "Z"),
        )
        written = json.dumps([made.rows, made.outcomes])
        assert made.rows[0]["replans"]
        assert not any(word in written for word in ("alpha", "even", '"q '))
        assert made.rows[0]["query"] == "Z"
        assert "ask X" in written

    def test_a_plan_that_lost_a_reference_is_left_out(self) -> None:
        made = _converted(_run({}), redact=lambda text: text.replace("#1", "it"))
        assert made.rows == []
        assert made.counts["left_out"] == {"its redacted plan has lost a reference": 1}

    def test_keys_are_hidden_before_the_function_sees_a_text_and_after(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[str] = []

        def hook(text: str) -> str:
            seen.append(text)
            return text.replace("name", "sk-abcdefgh12345678")

        monkeypatch.setattr(commands_runs, "hook", hook, raising=False)
        said = redactor("training.commands_runs:hook")("my name, sk-12345678abcdefgh")
        assert seen == ["my name, [hidden]"]
        assert said == "my [hidden], [hidden]"
        assert redactor(None)("sk-12345678abcdefgh") == "[hidden]"

    @pytest.mark.parametrize("named", ["no_such_module:f", "json:no_such", "json", "training.items:ARITHMETIC"])
    def test_a_function_that_is_not_there_is_an_error(self, named: str) -> None:
        with pytest.raises(BadValueError, match="redaction"):
            redactor(named)

    @pytest.mark.parametrize("named", ["json:loads", "builtins:len"])
    def test_a_function_that_gives_no_text_ends_it(self, named: str) -> None:
        with pytest.raises(BadValueError, match="returns a text"):
            redactor(named)("x")


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Records, and the scripted pool in place of the config's."""
        import training.sources

        queries = [q for q in map(str, range(99)) if split_of(q) == "train"][:3]
        rows = [recorded({"1": "m1", "2": "m2"}, query=query) for query in queries]
        _write(tmp_path / "runs", rows)
        answers = [{"query": query, "answer": "even"} for query in queries]
        (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        (tmp_path / "own.toml").write_text('[data]\ngrader = "exact"\n')
        monkeypatch.setattr(training.sources, "open_pool", lambda _: (POOL, None))
        return tmp_path

    def test_writes_data_and_says_what_it_left_out(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _write(files / "more", [recorded({}, query="unknown"), recorded({}, for_training=False)])
        options = ["--config", str(files / "own.toml"), "--answers", str(files / "answers.jsonl")]
        main(["from-runs", str(files / "runs"), str(files / "more"), "--out", str(files / "out"), *options])
        told = json.loads(capsys.readouterr().out)
        assert told["left_out"] == {"nobody says whether it was right": 1, "not recorded for training": 1}
        assert told["verdicts_by"] == {"answers": 3}
        assert told["subtask_labels"] == {"cheapest": 3, "censored": 3}
        rows = read_lines(files / "out" / "labels.jsonl")
        assert len(rows) == 3
        assert len((files / "out" / "outcomes.jsonl").read_text().splitlines()) == 6
        texts = texts_for("decomposer", rows, SftSettings(base="x"), max_subtasks=9)
        assert [text.reply for text in texts] == ["1 : ask alpha\n2 : ask #1 beta"] * 3
        (files / "said").write_text(json.dumps({"id": rows[0]["id"], "right": False}) + "\n")
        with pytest.raises(SystemExit, match="verdicts"):  # what is there follows from something else
            main(
                [
                    "from-runs",
                    str(files / "runs"),
                    "--feedback",
                    str(files / "said"),
                    "--out",
                    str(files / "out"),
                    *options,
                ]
            )

    def test_queries_of_a_file_are_held_back(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        query = json.loads((files / "answers.jsonl").read_text().splitlines()[0])["query"]
        (files / "test.jsonl").write_text(json.dumps({"query": query}) + "\n")
        options = ["--config", str(files / "own.toml"), "--answers", str(files / "answers.jsonl")]
        held = ["--hold-back", str(files / "test.jsonl")]
        main(["from-runs", str(files / "runs"), "--out", str(files / "out"), *options, *held])
        assert json.loads(capsys.readouterr().out)["left_out"] == {"its query is held back": 1}
        assert query not in [row["query"] for row in read_lines(files / "out" / "labels.jsonl")]

    def test_refuses_records_that_were_not_made_for_it(self, files: Path) -> None:
        _write(files / "no", [recorded({}, for_training=False)])
        with pytest.raises(SystemExit, match="--for-training"):
            main(["from-runs", str(files / "no"), "--out", str(files / "out")])
        assert not (files / "out").exists()

    def test_nothing_is_written_where_redacting_fails(self, files: Path) -> None:
        options = ["--config", str(files / "own.toml"), "--answers", str(files / "answers.jsonl")]
        with pytest.raises(SystemExit, match="redaction"):
            main(["from-runs", str(files / "runs"), "--out", str(files / "out"), "--redact", "builtins:len", *options])
        assert not (files / "out").exists()


def _write(path: Path, records: Sequence[RunRecord]) -> None:
    path.write_text("".join(to_json(record) + "\n" for record in records))


def test_a_censored_line_is_shown_to_the_allocator_and_not_learned() -> None:
    from transformers import AutoTokenizer

    from training.executions import CachedTransport, ExecutionCache
    from training.sources import open_allocator, router_model

    pool = embedded_pool()
    spec = router_model("allocator", PoolSettings(), pool)
    allocator = open_allocator(spec, pool, CachedTransport(ExecutionCache()), embedded=True)
    subtasks: list[dict[str, Any]] = [{"id": i, "text": f"{i} plus 2", "depends_on": []} for i in ("1", "2", "3")]
    label: Any = {"status": "censored", "models": {"1": "r2-tiny", "2": "r2-max", "3": "r2-mini"}}
    label["known"] = {"1": "cheapest", "2": "censored", "3": "next_failed"}
    plan = {"subtasks": subtasks, "style": "coarse", "label": label, "best_by_j": False, "best_by_cost": False}
    unknown = {**plan, "label": {**label, "known": dict.fromkeys("123", "censored")}}
    lacking = {**plan, "label": {**label, "models": {"1": "r2-tiny"}}}
    rows = [{"query": "how many ?", "plans": [plan, unknown, lacking], "replans": []}]
    (text,) = texts_for("allocator", rows, SftSettings(base="embedded"), max_subtasks=9, allocator=allocator)
    assert text.unknown == (1,)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(HOME / "tokenizer"))
    made, whole = encoded(tokenizer, text, 768), encoded(tokenizer, text._replace(unknown=()), 768)
    assert made is not None
    assert whole is not None
    assert made["input_ids"] == whole["input_ids"]
    hidden = [i for i, (a, b) in enumerate(zip(made["labels"], whole["labels"], strict=True)) if a != b]
    assert {made["labels"][i] for i in hidden} == {-100}
    lines = text.reply.split("\n")
    assert tokenizer.decode([whole["labels"][i] for i in hidden]).strip() == lines[1].partition(":")[2].strip()
    assert isinstance(text, Text)
