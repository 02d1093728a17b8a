"""Rows from files and from Hugging Face: what is wrong is named by file, line and field."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.evals.benchmarks import load_items
from langchain_r2.evals.reading import Source, check_ids, read_rows

GOOD = {"question": "How many?", "answer": "#### 3"}


def written(tmp_path: Path, text: str, name: str = "rows.jsonl") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": 5, "answer": "#### 3"}', r"field 'question' in line 2 of rows.jsonl is 5; allowed: a text"),
        ('{"question": " ", "answer": "#### 3"}', r"field 'question' in line 2"),
        ('{"answer": "#### 3"}', r"field 'question' in line 2 of rows.jsonl is None.*missing. There are: answer"),
        ('{"question": "q", "answer": "3"}', r"field 'answer' in line 2 of rows.jsonl is '3'.*#### number"),
        ('{"question": "q", "answer": "#### 3", "id": true}', "field 'id' in line 2"),
        ('["a"]', "line 2 of rows.jsonl.*JSON object"),
        ("{", "line 2 of rows.jsonl.*JSON object"),
    ],
)
def test_what_is_wrong_names_line_and_field(line: str, said: str, tmp_path: Path) -> None:
    data = written(tmp_path, f"{json.dumps(GOOD)}\n{line}\n")
    with pytest.raises(BadValueError, match=said):
        load_items("gsm8k", data=data)


def test_a_field_inside_a_field_is_named_with_its_path(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "answerKey": "A",
        "question": {"stem": "q", "choices": [{"label": "A", "text": "x"}, {"label": 1}]},
    }
    with pytest.raises(BadValueError, match=r"'question.choices\[1\].label' in line 1"):
        load_items("commonsenseqa", data=written(tmp_path, json.dumps(row)))


def test_blank_lines_are_skipped_and_lines_counted_as_an_editor_does(tmp_path: Path) -> None:
    unusual = {**GOOD, "question": "one\u2028two"}  # a line end for Python, none in JSON
    text = f"\ufeff{json.dumps(unusual, ensure_ascii=False)}\n\n{json.dumps(GOOD)}\r\n"
    rows = read_rows(Source("test", 9, data=written(tmp_path, text)))
    assert [row.where for row in rows] == ["line 1 of rows.jsonl", "line 3 of rows.jsonl"]
    assert rows[0].text("question") == "one\u2028two"


def test_a_json_list_is_read_too(tmp_path: Path) -> None:
    data = written(tmp_path, json.dumps([GOOD, {**GOOD, "question": 1}], indent=1), "rows.json")
    with pytest.raises(BadValueError, match=r"field 'question' in element 2 of rows.json"):
        load_items("gsm8k", data=data)
    with pytest.raises(BadValueError, match=r"element 1 of rows.json is 'x'"):
        read_rows(Source("test", 1, data=written(tmp_path, '["x"]', "rows.json")))
    with pytest.raises(BadValueError, match="a JSON list"):
        read_rows(Source("test", 1, data=written(tmp_path, '["x"', "rows.json")))


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_rows_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadValueError, match=r"rows\.jsonl"):
        read_rows(Source("test", 1, data=str(path)))


def test_without_data_the_message_says_how_to_name_it() -> None:
    with pytest.raises(BadValueError, match="--data"):
        load_items("musique")


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(BadValueError, match=r"id in line 3 is 'a'.*line 1"):
        check_ids([("a", "line 1"), ("b", "line 2"), ("a", "line 3")])


def test_a_sample_is_drawn_with_the_seed_and_kept_in_the_order_of_the_data() -> None:
    rows = list(range(100))
    drawn = Source("test", 10, seed=1).chosen(rows)
    assert drawn == sorted(drawn) != rows[:10]
    assert drawn == Source("test", 10, seed=1).chosen(rows) != Source("test", 10, seed=2).chosen(rows)
    assert Source("test", 10, first=True).chosen(rows) == rows[:10]
    assert Source("test", 100, seed=3).chosen(rows) == rows


class TestHub:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def load_dataset(name: str, configuration: str | None, *, split: str) -> list[dict[str, Any]]:
            calls.append((name, configuration, split))
            if split == "nosuch":
                raise ValueError("Unknown split")
            return [GOOD, {**GOOD, "answer": "three"}] if name == "o/bad" else [GOOD]

        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
        return calls

    def test_the_user_names_the_data_set(self, asked: list[tuple[Any, ...]]) -> None:
        chosen = load_items("gsm8k", data="hf:openai/gsm8k#main", split="train")
        assert asked == [("openai/gsm8k", "main", "train")]
        assert [item.gold for item in chosen.items] == ["3"]
        assert (chosen.facts["data"], chosen.facts["data_sha256"]) == ("hf:openai/gsm8k#main", None)
        load_items("gsm8k", data="hf:o/n")
        assert asked[1] == ("o/n", None, "test")

    def test_errors_name_row_and_field(self, asked: list[tuple[Any, ...]]) -> None:
        with pytest.raises(BadValueError, match=r"field 'answer' in row 2 of hf:o/bad"):
            load_items("gsm8k", data="hf:o/bad")
        with pytest.raises(BadValueError, match=r"split 'nosuch'.*Unknown split"):
            load_items("gsm8k", data="hf:o/n", split="nosuch")

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(MissingExtraError, match=r"langchain-r2\[evals\]"):
            load_items("gsm8k", data="hf:o/n")
