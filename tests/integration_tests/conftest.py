"""Servers that are really started: the embedded models over HTTP, and ``transformers serve``."""

from collections.abc import Iterator
from shutil import copy

import pytest

from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.server import embedded_server
from tests.integration_tests.serving import transformers_serve

TOKENIZER = ("tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json")


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The ``base_url`` of the embedded models."""
    with embedded_server() as address:
        yield address


@pytest.fixture(scope="session")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The ``base_url`` of ``transformers serve`` with the weights of r2-xlarge; the model's name there is ``r2``."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "r2").mkdir()
    for file in ("r2-xlarge/config.json", "r2-xlarge/model.safetensors", *TOKENIZER):
        copy(HOME / file, folder / "r2")
    with transformers_serve(folder, "r2") as address:
        yield address
