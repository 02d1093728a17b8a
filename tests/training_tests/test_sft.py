"""Adapters fitted to verified texts: on models made here, stopped and gone on with, loaded by both engines."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from safetensors.torch import load_file

from langchain_r2.embedded.bundle import HOME, embedded_pool
from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.errors import BadValueError
from langchain_r2.parsing import parse_plan
from langchain_r2.routers.local import LocalChatModel
from training.__main__ import main
from training.executions import CachedTransport, ExecutionCache
from training.lines import Lines
from training.settings import PoolSettings, SftSettings
from training.sft import encoded, fit_adapter, load_base
from training.sft_data import Text, texts_for
from training.sources import open_allocator, router_model

QUERIES = ["tom has 12 cards . how many ?", "mia fills 3 boxes with 40 cards . how many cards ?"]
PLANS = [("12 plus 0",), ("3 times 40", "#1 plus 0")]


def _row(number: int) -> dict[str, Any]:
    subtasks = parse_plan("\n".join(f"{i}: {t}" for i, t in enumerate(PLANS[number], 1)), max_subtasks=9).subtasks
    models = {s["id"]: "r2-tiny" if s["id"] == "1" else "r2-max" for s in subtasks}
    label = {"status": "labelled", "models": models}
    plan = {"subtasks": subtasks, "style": "coarse", "label": label, "best_by_j": True, "best_by_cost": number == 1}
    discarded = {**plan, "label": {"status": "discarded", "models": {}}}
    direct = {**plan, "style": "direct", "subtasks": [{"id": "1", "text": "#query", "depends_on": []}]}
    replans = [{"text": "3 times 40", "parts": ["3 times 4", "#1 times 10"], "whole": False}]
    return {"id": str(number), "query": QUERIES[number], "plans": [plan, direct, discarded], "replans": replans}


ROWS = [_row(0), _row(1)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model with random weights and the embedded models' tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    folder = tmp_path / "base"
    LlamaForCausalLM(config).save_pretrained(str(folder))
    for file in (HOME / "tokenizer").iterdir():
        shutil.copy(file, folder)
    return folder


def _settings(base: Path, **settings: Any) -> SftSettings:
    quick: dict[str, Any] = {"max_steps": 6, "save_steps": 2, "batch_size": 2, "rank": 4, "warmup_steps": 1}
    return SftSettings(base=str(base), **quick | settings)


def _texts(base: Path) -> list[Text]:
    return texts_for("decomposer", ROWS, _settings(base), max_subtasks=9)


def test_the_decomposer_learns_all_verified_styles(base: Path) -> None:
    texts = _texts(base)
    assert [(t.messages[0].content, t.reply, t.style, t.best_by_cost) for t in texts] == [
        (f"plan : {QUERIES[0]}", "1 : 12 plus 0", "coarse", False),
        (f"plan : {QUERIES[0]}", "1 : #query", "direct", False),
        (f"plan : {QUERIES[1]}", "1 : 3 times 40\n2 : #1 plus 0", "coarse", True),
        (f"plan : {QUERIES[1]}", "1 : #query", "direct", True),
        ("plan : 3 times 40", "1 : 3 times 4\n2 : #1 times 10", "replan", False),
    ]
    only = texts_for("decomposer", ROWS, _settings(base, styles=("direct",)), max_subtasks=9)
    assert {t.style for t in only} == {"direct"}
    with pytest.raises(BadValueError, match="styles is 'finest'"):
        texts_for("decomposer", ROWS, _settings(base, styles=("finest",)), max_subtasks=9)
    with pytest.raises(BadValueError, match="No plan was verified right"):
        texts_for("decomposer", [], _settings(base), max_subtasks=9)


@pytest.mark.parametrize("fixed", [True, False])
def test_the_allocator_reads_what_it_will_read_and_names_the_label(base: Path, fixed: bool) -> None:
    pool = embedded_pool()
    spec = router_model("allocator", PoolSettings(), pool)
    allocator = open_allocator(spec, pool, CachedTransport(ExecutionCache()), embedded=fixed)
    text = texts_for("allocator", ROWS, _settings(base), max_subtasks=9, allocator=allocator)[2]
    by_alias = {c.alias: pool.models[c.rank - 1].name for c in allocator.cards(QUERIES[1])}
    said = [line.split(" : ")[1] for line in text.reply.split("\n")]
    assert [by_alias[alias] for alias in said] == ["r2-tiny", "r2-max"]
    assert text.messages[0].text.endswith(f"route : {QUERIES[1]}\n1 : 3 times 40\n2 : #1 plus 0")
    assert text.messages[0].text.startswith("pool : a 1 c 2 d 3 ") == fixed


def test_a_text_is_encoded_as_the_running_model_encodes_it(base: Path) -> None:
    text = _texts(base)[2]
    _, tokenizer = load_base("decomposer", _settings(base))
    row = encoded(tokenizer, text, 200)
    assert row is not None
    prompt = LocalChatModel(path=str(base)).engine.encode(text.messages)
    assert row["input_ids"][: len(prompt)] == prompt
    assert row["labels"] == [-100] * len(prompt) + row["input_ids"][len(prompt) :]
    assert row["labels"][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row["labels"][len(prompt) : -1]) == text.reply
    assert encoded(tokenizer, text, len(row["labels"]) - 1) is None


def test_a_fit_that_was_stopped_goes_on_and_gives_the_same(base: Path, tmp_path: Path) -> None:
    settings, texts = _settings(base), _texts(base)
    whole = fit_adapter("decomposer", texts, settings, tmp_path / "whole", {"seed": 1})
    assert (whole.steps, whole.texts, whole.by_style["replan"]) == (6, 5, 1)

    done: list[int] = []

    def killed(step: int) -> None:
        done.append(step)
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_adapter("decomposer", texts, settings, tmp_path / "own", {"seed": 1}, on_step=killed)
    fit_adapter("decomposer", texts, settings, tmp_path / "own", {"seed": 1}, on_step=done.append)
    assert done == [1, 2, 3, 4, 5, 5, 6]  # from the checkpoint of step 4
    weights = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "own")]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].allclose(weights[1][name], atol=1e-6) for name in weights[0])

    again = fit_adapter("decomposer", texts, settings, tmp_path / "own", {"seed": 1}, on_step=done.append)
    assert again.steps == 6
    assert len(done) == 7  # it has ended: nothing is done
    with pytest.raises(BadValueError, match="the same settings"):
        fit_adapter("decomposer", texts, dataclasses.replace(settings, rank=8), tmp_path / "own", {"seed": 1})


def test_what_was_learned_is_said_by_both_engines(base: Path, tmp_path: Path) -> None:
    settings = _settings(base, max_steps=120, save_steps=1000, learning_rate=2e-2, rank=16)
    text = _texts(base)[2]
    fit_adapter("decomposer", [text], settings, tmp_path / "a", {})
    local = LocalChatModel(path=str(base), adapter=str(tmp_path / "a"), tokenizer_path=str(tmp_path / "a"))
    numpy = EmbeddedChatModel(folder=base, adapter=tmp_path / "a", tokenizer_file=tmp_path / "a" / "tokenizer.json")
    asked = [HumanMessage(text.messages[0].text)]
    assert local.invoke(asked, max_tokens=30).content == numpy.invoke(asked, max_tokens=30).content == text.reply
    stated = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert stated["target_modules"] == sorted(stated["target_modules"])


def test_a_base_without_a_chat_template_is_refused(base: Path, tmp_path: Path) -> None:
    config = json.loads((base / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BadValueError, match="one with a chat template"):
        fit_adapter("decomposer", _texts(base), _settings(base), tmp_path / "a", {})
    with pytest.raises(BadValueError, match=r"base is .*config\.json"):
        load_base("decomposer", _settings(tmp_path / "nothing"))
    with pytest.raises(BadValueError, match="adapter is "):
        load_base("decomposer", _settings(base, tokenizer=str(HOME / "tokenizer"), adapter=str(tmp_path / "none")))


def test_texts_that_are_too_long_are_left_out_or_told(base: Path, tmp_path: Path) -> None:
    texts = _texts(base)
    _, tokenizer = load_base("decomposer", _settings(base))
    longest = max(len(row["labels"]) for text in texts if (row := encoded(tokenizer, text, 999)))
    made = fit_adapter("decomposer", texts, _settings(base, max_length=longest - 1), tmp_path / "a", {})
    assert made.too_long >= 1
    assert made.texts == len(texts) - made.too_long
    with pytest.raises(BadValueError, match="All are longer"):
        fit_adapter("decomposer", texts, _settings(base, max_length=3), tmp_path / "b", {})


@pytest.mark.parametrize("role", ["decomposer", "allocator"])
def test_the_command_fits_the_embedded_router(role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(tmp_path / "labels" / "labels.jsonl", {"pool": "p"}) as lines:
        for row in ROWS:
            lines.add(row["id"], row)
    config = tmp_path / "own.toml"
    config.write_text('[sft]\nbase = "embedded"\nmax_steps = 2\nbatch_size = 2\nshuffle_aliases = false\n')
    out = tmp_path / "adapter"
    main(["sft", role, "--config", str(config), "--labels", str(tmp_path / "labels"), "--out", str(out), "--seed", "3"])
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.rindex('{\n "role"') :])["steps"] == 2
    report = json.loads((out / "sft.json").read_text())
    assert (report["settings"]["seed"], report["provenance"]["pool"]) == (3, "p")
    ledger = json.loads((tmp_path / "labels" / "ledger.jsonl").read_text())
    assert (ledger["stage"], ledger["steps"]) == (f"sft-{role}", 2)
    folder, tokenizer = HOME / "router" / f"{role}_base", out / "tokenizer.json"
    assert EmbeddedChatModel(folder=folder, adapter=out, tokenizer_file=tokenizer).invoke("plan : 3 times 4").content
