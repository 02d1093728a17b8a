"""Embedding allocators from tables of outcomes."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_r2.embedded.bundle import embedded_pool
from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.arithmetic import compute
from langchain_r2.graph import create_r2_graph
from langchain_r2.parsing import parse_answer
from langchain_r2.prompts import bare
from langchain_r2.routers.baselines import NoDecomposer
from langchain_r2.routers.embedding import EmbeddingAllocator
from training.arithmetic_data import split_step
from training.outcomes.__main__ import main
from training.outcomes.measures import apgr, choices, cpt, curve_saving, operating, slack_for
from training.outcomes.table import read_outcomes

NAMES = ("r2-tiny", "r2-max")


def line(prompt: str, q: list[float], split: str, **more: Any) -> str:
    return json.dumps({"prompt": prompt, "models": list(NAMES), "q": q, "split": split} | more)


@pytest.fixture(scope="module")
def real_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two of the embedded models really answer to single steps."""
    pool, rng = embedded_pool(), random.Random(0)
    steps = [f"{rng.randint(10, 999)} plus {rng.randint(2, 99)}" for _ in range(90)]  # r2-tiny does most of these
    steps += [f"{b * rng.randint(10, 99)} divided by {b}" for b in rng.choices(range(3, 10), k=90)]  # and few of these
    steps = list(dict.fromkeys(steps))
    rng.shuffle(steps)
    right = {}
    for name in NAMES:
        model: Any = pool[name].model
        replies = model.batch([bare.subtask(step).messages() for step in steps])
        right[name] = [
            parse_answer(reply.text)[0] == str(compute(*split_step(step)))
            for step, reply in zip(steps, replies, strict=True)
        ]
    rows = [
        line(step, [float(right[name][i]) for name in NAMES], "train" if i % 3 else "test")
        for i, step in enumerate(steps)
    ]
    path = tmp_path_factory.mktemp("outcomes") / "steps.jsonl.gz"
    path.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    return path


def test_a_head_learned_from_real_outcomes_routes_the_embedded_pool(
    real_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(real_table), "--out", str(tmp_path), "--ngrams", "2"])
    printed = capsys.readouterr().out
    assert "| TF-IDF ridge |" in printed
    assert "tfidf head less the ridge" in printed
    report = json.loads((tmp_path / "steps.json").read_text())
    ours, blind = report["rows"][2], report["rows"][0]
    assert ours["APGR"][1] > blind["APGR"][0]  # its interval lies above what knows nothing gets
    pool = embedded_pool()
    allocator = EmbeddingAllocator(pool, tmp_path / "steps_tfidf_head", slack=0.5)
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=allocator)
    easy, hard = (
        [graph.invoke({"query": q})["attempts"][0]["model"] for q in texts]
        for texts in (["345 plus 45", "21 plus 30"], ["96 divided by 6", "584 divided by 8"])
    )
    assert set(easy) == {"r2-tiny"}
    assert set(hard) == {"r2-max"}


def test_what_is_tested_is_not_learned(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        "\n".join([line("a", [1, 0], "train"), line("b\u2028", [1, 0], "train"), line("a", [1, 1], "test")])
    )
    assert read_outcomes(path)["train"].prompts == ["b\u2028"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "t.jsonl:1", id="not-json"),
        pytest.param(line("a", [1.5, 0], "train"), "q in t.jsonl:1", id="quality"),
        pytest.param(line("a", [1, 0, 1], "train"), "models and q", id="lengths"),
        pytest.param(line("a", [1, 0], "dev"), "split one of", id="split"),
        pytest.param(line("a", [1, 0], "train"), "split 'test'", id="no-test"),
        pytest.param("", "a file with lines", id="empty"),
    ],
)
def test_a_table_that_is_wrong_is_said(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(BadValueError, match=message):
        read_outcomes(path)


def test_costs_come_from_the_table_the_names_or_the_order(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"

    def costs(names: list[str], **more: Any) -> list[float]:
        rows = [line(s, [1, 0], s, **more) for s in ("train", "test")]
        path.write_text("\n".join(row.replace(json.dumps(list(NAMES)), json.dumps(names)) for row in rows))
        read = read_outcomes(path)["test"]
        assert read.quality_NM[0].tolist() == [float(name == names[0]) for name in read.models]
        return [float(cost) for cost in read.cost_M]

    assert costs(["a-70b", "b-7b"]) == [0.1, 1.0]
    assert costs(["a", "b"]) == [0.0, 1.0]
    assert costs(["a", "b"], c=[4.0, 1.0]) == [0.25, 1.0]


QUALITY = np.array([[1, 1], [0, 1], [1, 1], [0, 1]], float)


def test_apgr_and_cpt_by_hand() -> None:
    knows, wrong = np.array([0, 1, 0, 1.0]), np.array([1, 0, 1, 0.0])
    # All that the strong model adds is there after half of the calls: 0, .5, 1, 1, 1 at five points.
    assert apgr(knows, QUALITY, points=5) == pytest.approx((0.25 + 0.75 + 1 + 1) / 4)
    assert apgr(wrong, QUALITY, points=5) == pytest.approx((0 + 0 + 0.25 + 0.75) / 4)
    assert (cpt(knows, QUALITY, 0.5), cpt(knows, QUALITY, 0.8), cpt(wrong, QUALITY, 0.5)) == (0.25, 0.5, 0.75)


def test_the_slack_is_the_cheapest_that_reaches_the_target() -> None:
    score, cost = np.array([[0.9, 0.95], [0.1, 0.9], [0.8, 0.9], [0.3, 0.9]]), np.array([0.1, 1.0])
    slack = slack_for(score, QUALITY, cost, target=1.0)
    assert choices(score, slack).tolist() == [0, 1, 0, 1]
    assert operating(choices(score, slack), QUALITY, cost) == pytest.approx((1.0, 0.55))
    assert curve_saving(score, QUALITY, cost, best=1).value == pytest.approx(0.45)
    beyond = choices(score, slack_for(score, QUALITY, cost, target=2.0))
    assert operating(beyond, QUALITY, cost).quality == 1.0  # out of reach: the best there is
