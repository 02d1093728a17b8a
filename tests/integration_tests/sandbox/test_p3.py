"""P3 in the sandbox: the reference solutions, and ``langchain-r2 eval p3`` from the command to the table."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from langchain_r2 import ModelPool, ModelSpec, Price, cli
from langchain_r2.evals.benchmarks import load_items
from langchain_r2.evals.grading import Tools
from langchain_r2.evals.grading.code import CodeTask
from langchain_r2.evals.run import evaluate
from langchain_r2.evals.sandbox import SandboxChecker, launch
from langchain_r2.testing import ScriptedChatModel

SAMPLE = Path(os.environ.get("LANGCHAIN_R2_SAMPLES", Path(__file__).parents[4] / "shared" / "data")) / "p3.jsonl"
HAND_WRITTEN: list[dict[str, Any]] = [
    {
        "name": "Sum:0",
        "sat": "def sat(x: List[int], n=10):\n    print(x)\n    return sum(x) == n and len(set(x)) == 3",
        "ans_type": "List[int]", "sol_header": "def sol(n=10):", "sol_bodies": ["    return [1, 2, n - 3]"],
    },
    {
        "name": "Long:0", "sat": "def sat(x: int):\n    return len(str(x)) == 6001",
        "ans_type": "int", "sol_header": "def sol():", "sol_bodies": ["    return 10 ** 6000"],
    },
    {
        "name": "Sized:0", "sat": "def sat(x: str):\n    import re\n    return bool(re.fullmatch('(ab)+', x))",
        "ans_type": "str", "sol_header": "def sol():", "sol_bodies": ["    return 'ab' * 5", "    return 'ba'"],
    },
]  # fmt: skip

# What a reference solution is worth in a plain process: the same interpreter, nothing in its way.
_PLAIN = """\
import json, sys
from typing import List
sys.set_int_max_str_digits(0)
for line in sys.stdin:
    row, said = json.loads(line), []
    for body in row["sol_bodies"]:
        try:
            names = {"List": List}
            exec(row["sat"], names)
            exec(row["sol_header"] + "\\n" + body, names)
            sat, sol = names["sat"], names["sol"]
            sys.stdout = None
            said.append(sat(json.loads(json.dumps(sol()))) is True)
        except Exception:
            said.append(False)
        sys.stdout = sys.__stdout__
    print(json.dumps(said))
"""


def rows() -> list[dict[str, Any]]:
    if not SAMPLE.is_file():
        return HAND_WRITTEN
    return HAND_WRITTEN + [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_reference_solutions_are_as_in_a_plain_process(needs_bubblewrap: None) -> None:
    puzzles = [row for row in rows() if row["sol_bodies"]]
    text = "".join(json.dumps(row) + "\n" for row in puzzles)
    command = [launch._interpreter()[0], "-I", "-c", _PLAIN]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    expected = [verdict for line in done.stdout.splitlines() for verdict in json.loads(line)]
    tasks = [
        CodeTask(row["sat"], row["ans_type"], f"{row['sol_header']}\n{body}", "code")
        for row in puzzles
        for body in row["sol_bodies"]
    ]
    assert len(expected) == len(tasks)
    with SandboxChecker() as checker, ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(checker.check, tasks))
    pairs = zip(tasks, verdicts, expected, strict=True)
    assert [(t.answer, v) for t, v, right in pairs if (v.status == "satisfied") is not right] == []
    assert {v.status for v in verdicts} == {"satisfied", "not_satisfied"}  # one body above is wrong; none is undecided


def written(tmp_path: Path) -> str:
    path = tmp_path / "p3.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in HAND_WRITTEN))
    return str(path)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in map(json.loads, (folder / "records.jsonl").read_text().splitlines())}


def replied(prompt: str) -> str:
    """A model that solves two of the puzzles: one by a value, one by code."""
    if "len(set(x))" in prompt:
        return "[1, 2, 7]"
    if "6001" in prompt:
        return "```python\ndef sol():\n    return 10 ** 6000\n```"
    return "'abc'"


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("p3", {"Sum:0": 1.0, "Long:0": 0.0, "Sized:0": 0.0}),
        ("p3-programs", {"Sum:0": 1.0, "Long:0": 1.0, "Sized:0": 0.0}),
    ],
)
def test_a_models_answers_are_graded(
    name: str, scores: dict[str, float], checker: SandboxChecker, tmp_path: Path
) -> None:
    pool = ModelPool([ModelSpec(name="m", model=ScriptedChatModel(script=replied), price=Price(input=1.0, output=1.0))])
    chosen = load_items(name, data=written(tmp_path))
    evaluate(chosen, router={"pool": pool}, methods=["direct"], out=tmp_path / "out", tools=Tools(checker=checker))
    assert {id_: row["grade"]["score"] for id_, row in records(tmp_path / "out").items()} == scores


def test_from_the_command_to_the_table(needs_bubblewrap: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["eval", "p3", "--data", written(tmp_path), "--methods", "r2", "--limit", "2", "--out", str(out)]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    rows = records(out)
    assert len(rows) == 2
    assert {row["grade"]["status"] for row in rows.values()} == {"graded"}
    assert (out / "table.md").read_text().startswith("p3")


def test_the_documented_check(needs_bubblewrap: None) -> None:
    text = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    [code] = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "SandboxChecker" in code]
    verdicts: list[str] = []
    names: dict[str, Any] = {"said": lambda verdict: verdicts.append(verdict.status)}
    exec(re.sub(r"checker\.check\((.*)\)  #", r"said(checker.check(\1))  #", code), names)  # noqa: S102 - our own
    assert verdicts == ["satisfied"]


def test_without_bubblewrap_the_command_refuses(tmp_path: Path) -> None:
    code = (
        "import sys; from langchain_r2.evals.sandbox import launch; from langchain_r2 import cli\n"
        "launch.shutil.which = lambda name, **_: None if name == 'bwrap' else '/usr/bin/' + name\n"
        "sys.argv = ['langchain-r2', *sys.argv[1:]]; cli.main()"
    )
    arguments = ["eval", "p3", "--data", written(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "apt-get install bubblewrap" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
