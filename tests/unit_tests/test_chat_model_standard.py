"""LangChain's own unit suite for chat models."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_r2 import ChatR2

POOL = str(Path("langchain_r2") / "pools" / "paper.toml")
"""Relative, as a user writes it, so that what is serialized is the same on every machine; tests run in the root."""

load: Any = import_module("langchain_core.load.load")  # the package has a function of the same name
PATH = ("langchain_r2", "chat_model", "ChatR2")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain loads what its own list of partner classes has; a user names others: ``allowed_objects=[ChatR2]``."""
    monkeypatch.setattr(load, "_default_class_paths_cache", {})
    monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, PATH, PATH)


@pytest.mark.filterwarnings("ignore:The method `BaseChatModel.dict`", "ignore:Benchmarks are automatically disabled")
class TestChatR2(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatR2

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": POOL}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"R2_POOL": POOL}, {}, {"pool": POOL}
