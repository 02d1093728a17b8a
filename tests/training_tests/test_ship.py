"""What is shipped: the best on validation, in half precision, with settings of its own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from langchain_r2.embedded.bundle import HOME, embedded_router
from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError
from training.embedded import ship
from training.embedded.homes import new_home
from training.embedded.records import CHOSEN


def home_of(out: Path, name: str, accuracy: float, usd: float) -> Path:
    folder = new_home(
        out / "homes" / name, decomposer=HOME / "router" / "decomposer", allocator=HOME / "router" / "allocator"
    )
    (folder / CHOSEN).write_text(json.dumps({"accuracy": accuracy, "usd_per_query": usd}))
    return folder


def test_the_best_on_validation_is_put_into_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_of(tmp_path / "a", "dear-0", 0.97, 3e-6)
    best = home_of(tmp_path / "b", "good-1", 0.968, 2e-6)
    home_of(tmp_path / "b", "bad-0", 0.9, 1e-6)
    weights = best / "router" / "allocator" / "adapter_model.safetensors"
    learned = {name: 2 * value.float() for name, value in load_file(weights).items()}
    save_file(learned, weights)

    def settle(home: Path, _: object) -> dict[str, float]:
        settings = read_json(home / "router.json") | {"coverage": 0.8}
        (home / "router.json").write_text(json.dumps(settings))
        return {"accuracy": 0.5}

    monkeypatch.setattr(ship, "settle", settle)
    models = new_home(
        tmp_path / "models", decomposer=HOME / "router" / "decomposer", allocator=HOME / "router" / "allocator"
    )
    common = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out"), "--home", str(models)]
    before = (models / "router.json").read_text()
    ship.main([*common, "--dry-run"])
    assert (models / "router.json").read_text() == before
    ship.main(common)
    assert (read_json(models / "router.json")["coverage"], read_json(models / "router.json")["adapters"]) == (
        0.8,
        "good-1",
    )
    shipped = load_file(models / "router" / "allocator" / "adapter_model.safetensors")
    assert {value.dtype for value in shipped.values()} == {torch.float16}
    assert all(torch.allclose(shipped[name].float(), value, atol=1e-3) for name, value in learned.items())
    stated = read_json(models / "router" / "allocator" / "adapter_config.json")
    assert stated["base_model_name_or_path"] == "../allocator_base"
    assert embedded_router(models)["allocator"].coverage == 0.8  # type: ignore[attr-defined]


def test_a_folder_without_routers_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="folder of routers"):
        ship.candidates([tmp_path])
