"""The supervisor's process as the user's process sees it: orders from several threads, an answer for each."""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NamedTuple

from langchain_r2.errors import SandboxError
from langchain_r2.evals.sandbox.launch import Launch, environment

_SCRIPT: Final = Path(__file__).with_name("supervisor.py")
_PATIENCE_S: Final = 30.0
"""The supervisor keeps every deadline; this much later it is thought to be stuck."""


class Outcome(NamedTuple):
    """How a run in a sandbox ended."""

    code: int | None
    """Exit code, or minus the signal; None: it could not be started."""
    ended: str
    """Why it was ended: ``late``, ``output`` (too much of it), ``closed``; empty: it ended by itself."""
    report: bytes
    stderr: str
    wall_s: float


class SupervisorClient:
    """Starts the supervisor and speaks with it."""

    def __init__(self, launch: Launch, *, spares: int = 0) -> None:
        """Start it.

        Args:
            launch: How sandboxes are started.
            spares: How many are kept waiting for the next orders.

        Raises:
            SandboxError: It could not prepare what the launch asks for.
        """
        self._argv, self._filter, self._spares = launch.argv, launch.filter.hex(), spares
        self._waiting: dict[int, Future[Outcome]] = {}
        self._numbers = itertools.count()
        self._turn = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", str(_SCRIPT), *launch.staged],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,  # Ctrl-C is for the user's process
        )
        problem = json.loads(self._line() or b'{"error": "it ended at once"}')["error"]
        if problem:
            self._process.communicate()
            raise SandboxError(f"the sandbox's supervisor cannot work: {problem}")
        self._reader = threading.Thread(target=self._read, name="sandbox", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether orders can be given."""
        return self._reader.is_alive() and self._process.poll() is None

    def run(self, payload: bytes, *, wall_s: float, cap_bytes: int) -> Outcome:
        """Run one sandbox to its end.

        Raises:
            SandboxError: The supervisor has ended.
        """
        future: Future[Outcome] = Future()
        with self._turn:
            number = next(self._numbers)
            self._waiting[number] = future
            order = {"id": number, "argv": self._argv, "env": environment(), "filter": self._filter}
            order |= {"size": len(payload), "wall_s": wall_s, "cap_bytes": cap_bytes, "spares": self._spares}
            try:
                self._write(json.dumps(order).encode() + b"\n" + payload)
            except OSError as error:
                self._waiting.pop(number, None)
                raise SandboxError("the sandbox's supervisor has ended") from error
        if not self._reader.is_alive():  # it may have ended before it could see this one
            self._lose()
        try:
            return future.result(wall_s + _PATIENCE_S)
        except TimeoutError as error:
            raise SandboxError("the sandbox's supervisor does not answer") from error

    def close(self) -> None:
        """End it, and with it whatever is under way."""
        with self._turn, contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _write(self, data: bytes) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            raise BrokenPipeError
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _line(self) -> bytes:
        return self._process.stdout.readline() if self._process.stdout is not None else b""

    def _read(self) -> None:
        while line := self._line():
            head: dict[str, Any] = json.loads(line)
            report = self._process.stdout.read(head["size"]) if self._process.stdout is not None else b""
            if future := self._waiting.pop(head["id"], None):
                future.set_result(Outcome(head["code"], head["ended"], report, head["stderr"], head["wall_s"]))
        self._lose()

    def _lose(self) -> None:
        while self._waiting:
            with contextlib.suppress(KeyError):
                _, future = self._waiting.popitem()
                future.set_exception(SandboxError("the sandbox's supervisor has ended"))
