"""Servers that are really started: the embedded models over HTTP, and ``transformers serve``."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import httpx
import pytest

from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.server import embedded_server


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
    (folder / "hub").mkdir()  # it must exist
    for file in ("r2-xlarge/config.json", "r2-xlarge/model.safetensors", *TOKENIZER):
        copy(HOME / file, folder / "r2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # float32: the files hold float16, which the embedded engine widens too.
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "r2", *options]
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


TOKENIZER = ("tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json")


def _wait(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        try:
            httpx.get(address).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"{address} did not answer:\n{log.read_text()}")
