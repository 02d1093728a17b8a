"""Which recorded runs may be used, which were right, and what they say of models on subtasks."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.text import exact
from langchain_r2.evals.items import Item
from langchain_r2.evals.recorded import (
    judged,
    keys_of,
    needed_for_answer,
    read_answers,
    read_consented,
    read_feedback,
    tries_of,
)
from langchain_r2.run_record import to_json
from langchain_r2.types import RunRecord
from tests.unit_tests.evals.recording import recorded


def _write(path: Path, *records: RunRecord) -> Path:
    path.write_text("".join(to_json(record) + "\n" for record in records))
    return path


def _with(record: Any, **changes: Any) -> Any:
    return {**record, **changes}


class TestConsent:
    def test_a_record_without_it_is_not_taken(self, tmp_path: Path) -> None:
        mine, theirs = recorded({}), recorded({}, query="other", for_training=False)
        kept, refused = read_consented([_write(tmp_path / "a", mine, theirs)])
        assert ([r["query"] for r in kept], refused) == (["q"], 1)

    def test_none_with_it_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(BadValueError, match="--for-training"):
            read_consented([_write(tmp_path / "a", recorded({}, for_training=False))])

    @pytest.mark.parametrize("said", ["yes", 1, None])
    def test_only_true_is_consent(self, tmp_path: Path, said: Any) -> None:
        with pytest.raises(BadValueError, match="--for-training"):
            read_consented([_write(tmp_path / "a", _with(recorded({}), for_training=said))])


class TestVerdicts:
    async def test_people_count_before_a_grade_and_that_before_the_grader(self) -> None:
        record: Any = recorded({})
        graded: Any = {**record, "grade": {"score": 0.0}}
        answers = {"q": Item("1", "q", "even")}
        for row, feedback, want in [
            (record, {}, (True, "answers")),
            (graded, {}, (False, "grade")),
            (graded, {record["id"]: True}, (True, "feedback")),
        ]:
            (run,) = (await judged([row], feedback=feedback, answers=answers, grader=exact)).runs
            assert (run.right, run.by) == want

    async def test_without_one_a_run_is_left_out_however_sure_it_was(self) -> None:
        found = await judged([recorded({})], answers={"another": Item("1", "another", "even")}, grader=exact)
        assert found.runs == []
        assert found.left_out == {"nobody says whether it was right": 1}

    async def test_what_says_nothing_of_a_plan_is_left_out(self) -> None:
        record: Any = recorded({})
        broken: list[Any] = [
            {**record, "plan": []},
            {**record, "answer": None},
            {**record, "status": "budget_exhausted"},
            {**record, "attempts": [{**record["attempts"][0], "message": {}}]},
        ]
        found = await judged(broken, feedback={}, answers={"q": Item("1", "q", "even")}, grader=exact)
        assert (len(found.runs), found.left_out.total()) == (0, 4)

    async def test_feedback_of_an_id_that_two_records_have_is_refused(self) -> None:
        record = recorded({})
        with pytest.raises(BadValueError, match="Several"):
            await judged([record, record], feedback={record["id"]: True})

    def test_feedback_is_read_and_checked(self, tmp_path: Path) -> None:
        file = tmp_path / "f"
        file.write_text('{"id": "a", "right": true}\n\n{"id": "b", "right": true}\n{"id": "b", "right": false}\n')
        assert read_feedback(file) == {"a": True, "b": False}
        for line in ('{"id": "a"}', '{"id": 1, "right": true}', '{"id": "a", "right": 1}', "[]", "x"):
            file.write_text(line)
            with pytest.raises(BadValueError, match="line 1"):
                read_feedback(file)

    def test_answers_are_read_by_query(self, tmp_path: Path) -> None:
        file = tmp_path / "a.jsonl"
        file.write_text(json.dumps({"query": "how many?", "answer": 5}) + "\n")
        assert read_answers(str(file))["how many?"].gold == "5"


class TestTries:
    def test_each_try_has_the_question_as_the_model_saw_it(self) -> None:
        tries = list(tries_of(recorded({"1": "m1", "2": "m2"})))
        assert [(t.key.text, t.row["model"], t.accepted) for t in tries] == [
            ("ask alpha", "m1", False),
            ("ask alpha", "m2", True),
            ("ask even beta", "m2", True),
        ]

    def test_parts_of_a_replanned_subtask_are_apart_from_the_plan(self) -> None:
        record = recorded({"1": "m1", "2": "m2"}, max_replans=1, reallocate_upward=False)
        keys = keys_of(record)
        parts = {id_: key for id_, key in keys.items() if "." in id_}
        assert parts
        assert all(key.within for key in parts.values())
        assert all(not keys[id_].within for id_ in ("1", "2"))
        assert {t.subtask_id for t in tries_of(record)} >= set(parts)

    def test_a_failed_call_says_nothing(self) -> None:
        record = recorded({})
        record["attempts"][-1]["error_type"] = "UnreachableError"
        assert [t.subtask_id for t in tries_of(record)] == ["1"]

    def test_what_the_answer_does_not_rest_on(self) -> None:
        record: Any = recorded({})
        record["plan"].insert(0, {"id": "0", "text": "aside", "depends_on": []})
        assert needed_for_answer(record) == {"1", "2"}
        assert needed_for_answer(_with(record, answer="all of it")) == {"0", "1", "2"}
