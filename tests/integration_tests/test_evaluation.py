"""Every benchmark from its data to the table, on the embedded pool, and the documented grader as it stands there.

The embedded models can do arithmetic only, so most answers are wrong: that is what is measured.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from typer.testing import CliRunner

from langchain_r2 import ModelPool, ModelSpec, Price, cli
from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks import BENCHMARKS, load_items
from langchain_r2.evals.grading import Tools
from langchain_r2.evals.grading.code import CodeTask, CodeVerdict
from langchain_r2.evals.run import evaluate

STORY = "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"

PUZZLE = {"name": "One:0", "sat": "def sat(x: int):\n    return x == 7", "ans_type": "int", "sol_header": "def sol():"}

ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [{"question": STORY, "answer": "12 * 34 = <<12*34=408>>408\n#### 408"}],
    "math": [
        {"problem": STORY, "solution": r"\boxed{408}", "level": "Level 1", "type": "Algebra"},
        {"problem": "Who runs?", "solution": "", "answer": r"\text{Eva}", "subject": "Algebra", "level": 1},
    ],
    "champ": [
        {"identifier": "P_1", "category": "C", "_text": STORY, "_answer": "408"},
        {"identifier": "P_2", "category": "C", "_text": "How many ways?", "_answer": "2^(n-1)"},
    ],
    "commonsenseqa": [
        {
            "id": "a",
            "question": "Where?",
            "choices": {"label": ["A", "B"], "text": ["a bank", "a sea"]},
            "answerKey": "B",
        }
    ],
    "musique": [
        {"id": "m", "question": "Where?", "paragraphs": [{"title": "x", "paragraph_text": "y"}], "answer": "Lima"}
    ],
    "p3": [PUZZLE],
    "p3-programs": [PUZZLE],
}


class Seven:
    """Stands for what runs puzzles."""

    def check(self, task: CodeTask) -> CodeVerdict:
        return CodeVerdict("satisfied" if task.answer == "7" else "not_satisfied")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def written(tmp_path: Path, name: str) -> Path:
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
    return path


def test_there_are_rows_for_every_benchmark_that_is_not_generated() -> None:
    assert {name for name, benchmark in BENCHMARKS.items() if not benchmark.splits} == set(ROWS)


@pytest.mark.parametrize(
    "name", [name for name in BENCHMARKS if name not in {"p3", "p3-programs"}]
)  # they need bubblewrap
def test_from_the_command_to_the_table(name: str, tmp_path: Path) -> None:
    if name == "math":
        pytest.importorskip("math_verify")
    data = ["--data", str(written(tmp_path, name))] if name in ROWS else ["--limit", "1"]
    out = tmp_path / "out"
    result = CliRunner().invoke(cli.app, ["eval", name, *data, "--methods", "r2", "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = records(out)
    assert len(rows) == len(ROWS.get(name, [0]))
    assert all(row["attempts"] for row in rows)
    ungradable = [row["id"] for row in rows if row["grade"]["status"] == "ungradable"]
    assert ungradable == (["P_2"] if name == "champ" else [])
    table = (out / "table.md").read_text()
    assert table.startswith(name)
    assert ("ungradable" in table) == (name == "champ")


def test_puzzles_with_a_checker(tmp_path: Path) -> None:
    chosen = load_items("p3", data=str(written(tmp_path, "p3")))
    evaluate(chosen, router=embedded_router(), methods=["r2"], out=tmp_path / "out", tools=Tools(checker=Seven()))
    [row] = records(tmp_path / "out")
    assert row["grade"]["status"] == "graded"


def test_own_questions(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "pens", "query": STORY, "answer": "408"}) + "\n")
    arguments = ["eval", str(path), "--grader", "numeric", "--methods", "r2", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    [row] = records(tmp_path / "out")
    assert (row["id"], row["answer"], row["grade"]["score"]) == ("pens", "408", 1.0)


def test_the_documented_grader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    [code] = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def near" in code]
    monkeypatch.chdir(tmp_path)
    line = {"query": STORY, "answer": "407", "tolerance": 1}
    Path("questions.jsonl").write_text(json.dumps(line) + "\n")
    exec(compile(code, "docs/evaluation.md", "exec"), {})  # noqa: S102 - our own document
    assert {row["method"]: row["grade"]["score"] for row in records(tmp_path / "results")}["r2"] == 1.0


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_the_document_names_every_benchmark(name: str) -> None:
    assert f"| `{name}` |" in (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


def test_baselines_that_verify_and_vote_run_over_http(url: str, tmp_path: Path) -> None:
    """The embedded models follow no instructions: what they make of these ones is measured and billed all the same."""
    specs = [
        ModelSpec(
            name=name,
            model=ChatOpenAI(model=name, base_url=url, api_key=SecretStr("none"), max_completion_tokens=64),
            price=Price(input=rank, output=2.0 * rank),
            capabilities=frozenset({"logprobs"}),
        )
        for rank, name in enumerate(("r2-small", "r2-large"), start=1)
    ]
    items, validation = (load_items("arithmetic", split=split, limit=2) for split in ("test", "validation"))
    methods = ["tot", "automix"]
    assert evaluate(items, router={"pool": ModelPool(specs)}, methods=methods, out=tmp_path, validation=validation)
    rows = {name: [row for row in records(tmp_path) if row["method"] == name] for name in methods}
    assert {name: len(made) for name, made in rows.items()} == {"tot": 2, "automix": 2}
    calls = [attempt for made in rows.values() for row in made for attempt in row["attempts"]]
    assert all(call["error_type"] is None and call["input_tokens"] > 30 and call["cost_usd"] > 0 for call in calls)
    assert {call["model"] for row in rows["tot"] for call in row["attempts"]} == {"r2-large"}
    assert len(rows["tot"][0]["attempts"]) > 2
    asked = [sum(call["role"] == "evaluator" for call in row["attempts"]) for row in rows["automix"]]
    answered = [row["attempts"][0]["answer"] for row in rows["automix"]]
    assert asked == [4 if answer else 0 for answer in answered]
    assert any(answered)
