"""Success heads from outcomes that are known in part."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.routers.embedding import EmbeddingAllocator
from langchain_r2.testing import scripted_pool
from langchain_r2.types import Plan, Subtask
from training.__main__ import main
from training.outcomes.partial import Partial, fit_partial, read_partial

MODELS = ["m1", "m2", "m3"]


def _known(tried: Any = None) -> Partial:
    """m1 does what is easy, m2 all; each text was tried on one or two models."""
    rng = np.random.default_rng(0)
    prompts = [f"{rng.choice(['easy', 'hard'])} task {i % 7}" for i in range(300)]
    quality_NM = np.full((300, 3), np.nan)
    for i, prompt in enumerate(prompts):
        quality_NM[i, 1] = 1.0
        if tried(prompt) if tried else i % 2:
            quality_NM[i, 0] = float(prompt.startswith("easy"))
    return Partial(MODELS, prompts, quality_NM, np.where(np.isnan(quality_NM), np.nan, 1.0))


def test_a_model_is_learned_from_what_it_was_tried_on() -> None:
    head, facts = fit_partial(_known(), ngrams=1, least=20)
    assert head.models == ["m1", "m2"]
    assert facts["left_out"] == {"m3": "0 outcomes, 0 failures"}
    easy, hard = head.of_texts(["easy task 3", "hard task 3"])[:, 0]
    assert easy > 0.9
    assert hard < 0.1
    pool = scripted_pool(["x"], ["x"], ["x"])
    subtasks = [Subtask(id="1", text="easy task 1", depends_on=[]), Subtask(id="2", text="hard task 1", depends_on=[])]
    plan = Plan(subtasks=subtasks, parse="clean", confidence=None, rejected=[])
    said = EmbeddingAllocator(pool, head, slack=0.1).invoke({"query": "q", "plan": plan})
    assert said["allocation"]["models"] == {"1": "m1", "2": "m2"}


def test_a_model_that_got_easy_texts_only_is_left_out() -> None:
    known = _known(tried=lambda prompt: prompt.startswith("easy"))
    head, facts = fit_partial(known, ngrams=1, least=20)
    assert head.models == ["m2"]
    assert "m1" in facts["left_out"]


def test_too_few_outcomes_are_an_error() -> None:
    with pytest.raises(BadValueError, match="--explore"):
        fit_partial(_known(), ngrams=1, least=1000)


def test_only_training_lines_are_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, file = _known(), tmp_path / "outcomes.jsonl"
    rows = [
        {"split": "train", "prompt": p, "models": MODELS, "q": [None if np.isnan(v) else v for v in q], "c": [None] * 3}
        for p, q in zip(known.prompts, known.quality_NM, strict=True)
    ]
    held_out = [{**row, "split": split, "prompt": "secret"} for row in rows for split in ("validation", "test")]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *held_out]))
    read = read_partial(file)
    assert read.prompts == known.prompts
    assert np.array_equal(read.quality_NM, known.quality_NM, equal_nan=True)
    main(["fit-head", "--outcomes", str(file), "--out", str(tmp_path / "head"), "--ngrams", "1"])
    assert json.loads(capsys.readouterr().out)["texts"] == 300
    assert EmbeddingAllocator(scripted_pool(["x"], ["x"]), tmp_path / "head").head.models == ["m1", "m2"]


@pytest.mark.parametrize("text", ["", "x", '{"split": "test"}', '{"split": "train"}'])
def test_what_is_no_file_of_outcomes_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(BadValueError, match="from-runs"):
        read_partial(tmp_path / "f")
