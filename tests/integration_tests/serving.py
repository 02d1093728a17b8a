"""Starts ``transformers serve`` on a model that lies in a folder."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest


@contextmanager
def transformers_serve(folder: Path, model: str) -> Iterator[str]:
    """Serve a model that lies in a folder, and give the ``base_url``."""
    (folder / "hub").mkdir()  # it must exist
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # float32: the files hold float16, which the embedded engine widens too.
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model, *options]
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        try:
            httpx.get(address).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"{address} did not answer:\n{log.read_text()}")
