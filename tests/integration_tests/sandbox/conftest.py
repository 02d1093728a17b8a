"""A checker that contains, and one that does not: what does harm in the second one shows that the first one held it.

Programs define ``sol()``, which returns True once it has done what it should not.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from langchain_r2.errors import SandboxError
from langchain_r2.evals.grading.code import CodeTask
from langchain_r2.evals.sandbox import Limits, SandboxChecker, launch

LIMITS = Limits(cpu_s=1, wall_s=3.0, answer_mib=8)
SECRET = "canary-5309"


class Outside(NamedTuple):
    """What lies outside the sandbox for a program to reach. All of it is open to every user."""

    folder: Path
    port: int
    abstract: str
    process: int

    def task(self, code: str) -> CodeTask:
        """A puzzle that only harm solves."""
        facts = f"FOLDER, PORT, ABSTRACT, PROCESS, SECRET = {(str(self.folder), *self[1:], SECRET)!r}\n"
        return CodeTask("def sat(harm: bool):\n    return harm", "bool", facts + code, "code")


@pytest.fixture(scope="session")
def needs_bubblewrap() -> None:
    if shutil.which("bwrap") is None:
        reason = "no bwrap on this machine: `apt-get install bubblewrap`"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def checker(needs_bubblewrap: None) -> Iterator[SandboxChecker]:
    with SandboxChecker(workers=4, limits=LIMITS) as made:
        assert made.contained
        yield made


def no_bubblewrap(name: str, package: str, real: Callable[[str, str], str]) -> str:
    if name == "bwrap":
        raise SandboxError("there is no 'bwrap'", "Install it.")
    return real(name, package)


@pytest.fixture(scope="session")
def unsafe() -> Iterator[SandboxChecker]:
    """As where there is no bubblewrap."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        real = launch._program
        warnings.simplefilter("ignore", RuntimeWarning)
        patch.setattr(launch, "_program", lambda name, package: no_bubblewrap(name, package, real))
        made = SandboxChecker(workers=2, limits=LIMITS, allow_unsafe_execution=True)
    with made:
        assert not made.contained
        yield made


@pytest.fixture(scope="session")
def outside() -> Iterator[Outside]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    (folder / "canary").write_text(SECRET)
    (folder / "canary").chmod(0o644)
    abstract = f"langchain-r2-{os.getpid()}"
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", tcp.getsockname()[1]))
    hidden, visible = (socket.socket(socket.AF_UNIX) for _ in range(2))
    hidden.bind("\0" + abstract)
    visible.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    for server in (hidden, visible):
        server.listen()
    victim = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={"CANARY": SECRET}, stdin=subprocess.DEVNULL
    )
    yield Outside(folder, tcp.getsockname()[1], abstract, victim.pid)
    assert victim.poll() is None, "a program has killed a process outside"
    victim.kill()
    victim.wait()
    for server in (tcp, udp, hidden, visible):
        server.close()
    shutil.rmtree(folder)


def family(pid: int) -> set[int]:
    """The processes below one, not itself."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def running(pids: set[int]) -> set[int]:
    """Those of some processes that have not ended; one that is merely unreaped has."""
    alive = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.add(pid)
        except OSError:
            continue
    return alive


def left(processes: Callable[[], set[int]]) -> set[int]:
    """What is left of some processes after a moment."""
    pause = threading.Event()
    found = processes()
    for _ in range(200):
        if not found:
            break
        pause.wait(0.02)
        found = processes()
    return found
