"""LangChain's own suite for chat models, every feature on, over a pool behind a real HTTP server on loopback."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_r2 import ChatR2, ModelPool, ModelSpec, Price
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
from tests.integration_tests.tool_server import tool_server

CAPABILITIES = frozenset({"logprobs", "tools", "structured_output"})


def served_pool(url: str) -> ModelPool:
    """Two models behind one server."""
    prices = {"mini": Price(input=0.1, output=0.4), "maxi": Price(input=2.0, output=8.0)}
    specs = [
        ModelSpec(name=name, model=name, base_url=url, price=price, capabilities=CAPABILITIES)
        for name, price in prices.items()
    ]
    return ModelPool(specs, name="served")


@pytest.mark.filterwarnings("ignore:The method `BaseChatModel.dict`")
class TestChatR2(ChatModelIntegrationTests):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def served(cls) -> Iterator[None]:
        with tool_server() as server:
            cls.url = server.url
            yield

    url = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatR2

    @property
    def chat_model_params(self) -> dict[str, Any]:
        pool = served_pool(self.url)
        return {"pool": pool, "decomposer": NoDecomposer(), "allocator": FixedAllocator(pool, "mini")}

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "maxi"
