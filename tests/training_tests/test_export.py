"""Exported adapters: what loads them says the same, and what they do not fit is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from langchain_r2 import Price
from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.errors import BadValueError
from langchain_r2.prompts import bare
from langchain_r2.routers.local import LocalChatModel, local_spec
from langchain_r2.weights import ADAPTER, BASE_KEY, fingerprint
from training.export import export_adapter, export_merged

BASE, TRAINED, TOKENIZER = HOME / "router/decomposer_base", HOME / "router/decomposer", HOME / "tokenizer"
PROMPT = bare.decompose("tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?").user
FACTS: dict[str, Any] = {"role": "decomposer", "data": "abc", "steps": 3}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "decomposer"
    return export_adapter(TRAINED, out, base=str(BASE), tokenizer=str(TOKENIZER), facts=FACTS)


def test_an_exported_adapter_says_what_the_trained_one_did(exported: Path) -> None:
    spec = local_spec("r2-decomposer", str(BASE), adapter=str(exported), price=Price(input=0.1, output=0.2))
    local = spec.chat_model().invoke(PROMPT)
    numpy = EmbeddedChatModel(folder=BASE, adapter=exported, tokenizer_file=exported / "tokenizer.json").invoke(PROMPT)
    before = EmbeddedChatModel(folder=BASE, adapter=TRAINED, tokenizer_file=TOKENIZER / "tokenizer.json").invoke(PROMPT)
    assert "12 times 34" in before.text
    assert local.text == numpy.text == before.text
    bare_base = EmbeddedChatModel(folder=BASE, tokenizer_file=TOKENIZER / "tokenizer.json").invoke(PROMPT)
    assert bare_base.response_metadata["logprobs"] != before.response_metadata["logprobs"]


def test_the_folder_is_what_lora_servers_take(exported: Path) -> None:
    assert {f.name for f in exported.iterdir()} == {
        ADAPTER,
        "adapter_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
    }
    config = json.loads((exported / "adapter_config.json").read_text())
    # what vLLM's PEFTHelper requires, and what its check of the features refuses
    assert {"r", "lora_alpha", "target_modules"} <= config.keys()
    assert not config["modules_to_save"]
    assert not config["use_dora"]
    assert config["bias"] == "none"
    assert config["base_model_name_or_path"] == str(BASE)
    card = (exported / "README.md").read_text()
    assert f"vllm serve {BASE} --enable-lora --max-lora-rank 16 --lora-modules r2-decomposer=FOLDER" in card
    assert '"data": "abc"' in card


def test_the_merged_form_is_a_model_of_its_own(tmp_path: Path) -> None:
    merged = export_merged(TRAINED, tmp_path / "m", base=str(BASE), tokenizer=str(TOKENIZER), facts=FACTS)
    trained = LocalChatModel(path=str(BASE), adapter=str(TRAINED), tokenizer_path=str(TOKENIZER)).invoke(PROMPT)
    alone = LocalChatModel(path=str(merged)).invoke(PROMPT)
    assert alone.text == trained.text
    rows, same = (m.response_metadata["logprobs"]["content"] for m in (alone, trained))
    assert [r["logprob"] for r in rows] == pytest.approx([r["logprob"] for r in same], abs=1e-4)
    assert "_name_or_path" not in (merged / "config.json").read_text()
    assert "transformers serve" in (merged / "README.md").read_text()


def test_an_adapter_for_another_base_is_refused(exported: Path, tmp_path: Path) -> None:
    """The other base has the same shapes: only its fingerprint tells them apart."""
    other = HOME / "router/allocator_base"
    for model in (
        LocalChatModel(path=str(other), adapter=str(exported)),
        EmbeddedChatModel(folder=other, adapter=exported, tokenizer_file=exported / "tokenizer.json"),
    ):
        with pytest.raises(BadValueError, match="made for another base"):
            model.invoke(PROMPT)
    with pytest.raises(BadValueError, match=fingerprint(BASE)):
        export_adapter(exported, tmp_path / "again", base=str(other), tokenizer=str(TOKENIZER), facts=FACTS)
    assert not (tmp_path / "again").exists()


def test_an_adapter_of_other_shapes_is_refused_without_a_fingerprint(tmp_path: Path) -> None:
    with safe_open(TRAINED / ADAPTER, framework="pt") as opened:
        assert BASE_KEY not in (opened.metadata() or {})
    for other, said in ((HOME / "r2-nano", r"is \[16, 40\] in the base"), (HOME / "r2-large", r"is \[96, 256\] in")):
        with pytest.raises(BadValueError, match=said):
            LocalChatModel(path=str(other), adapter=str(TRAINED), tokenizer_path=str(TOKENIZER)).invoke(PROMPT)
    shutil.copytree(TRAINED, tmp_path / "deep")
    weights = load_file(TRAINED / ADAPTER)
    deeper = {name.replace("layers.1.", "layers.7."): value.clone() for name, value in weights.items()}
    save_file(weights | deeper, tmp_path / "deep" / ADAPTER, metadata={"format": "pt"})
    with pytest.raises(BadValueError, match=r"the base has no model\.layers\.7"):
        LocalChatModel(path=str(BASE), adapter=str(tmp_path / "deep"), tokenizer_path=str(TOKENIZER)).invoke(PROMPT)


def test_a_base_that_was_trained_on_is_another_base(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    weights = load_file(file)
    save_file({n: w + (0.01 * torch.randn_like(w)) for n, w in weights.items()}, file, metadata={"format": "pt"})
    with pytest.raises(BadValueError, match="made for another base"):
        LocalChatModel(path=str(tmp_path / "base"), adapter=str(exported)).invoke(PROMPT)


@pytest.mark.parametrize("change", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"r": 600}])
def test_what_vllm_cannot_serve_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    shutil.copytree(TRAINED, tmp_path / "a")
    config = json.loads((TRAINED / "adapter_config.json").read_text()) | change
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(BadValueError, match="merged form"):
        export_adapter(tmp_path / "a", tmp_path / "out", base=str(BASE), tokenizer=str(TOKENIZER), facts=FACTS)


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TOKENIZER, tmp_path / "t")
    config = json.loads((TOKENIZER / "tokenizer_config.json").read_text())
    config.pop("chat_template")
    (tmp_path / "t" / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BadValueError, match="chat template"):
        export_adapter(TRAINED, tmp_path / "out", base=str(BASE), tokenizer=str(tmp_path / "t"), facts=FACTS)
