"""The command that starts a sandbox, and when there is none."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from langchain_r2.errors import BadValueError, SandboxError
from langchain_r2.evals.sandbox import Limits, SandboxChecker, launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all programs were installed."""
    monkeypatch.setattr(launch, "_program", lambda name, _: f"/usr/bin/{name}")


def test_root_gives_up_its_identity_before_bubblewrap_starts(programs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    argv = launch.contained(Limits()).argv
    assert argv.index(f"--reuid={launch.UID}") < argv.index("/usr/bin/bwrap")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    mine = launch.contained(Limits())
    assert "/usr/bin/setpriv" not in mine.argv
    assert mine.staged == ()


def test_an_interpreter_in_a_closed_folder_is_shown_elsewhere(
    programs: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(launch, "_interpreter", lambda: [str(program)])
    tmp_path.chmod(0o700)
    closed = launch.contained(Limits())
    assert closed.staged == (str(program),)
    place = closed.argv.index(launch.STAGE + str(program))
    assert closed.argv[place - 1 : place + 2] == ["--ro-bind", launch.STAGE + str(program), str(program)]


def test_nothing_writable_and_nothing_of_the_users_is_in_it(programs: None) -> None:
    argv = launch.contained(Limits()).argv
    seen = {argv[place + 2] for place, word in enumerate(argv) if word.startswith(("--ro-bind", "--bind"))}
    allowed = {"/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", *launch._interpreter()}
    assert seen <= allowed
    assert not {"--bind", "--dev", "--proc", "--dev-bind", "--share-net"} & set(argv)
    assert argv[argv.index("--remount-ro") + 1] == "/"
    assert "PATH" not in launch.environment()


def test_limits_are_in_the_command(programs: None) -> None:
    argv = launch.contained(Limits(cpu_s=3, memory_mib=100)).argv
    assert {"--cpu=3:4", f"--as={100 << 20}", "--fsize=0", "--core=0"} <= set(argv)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name == "bwrap" else f"/usr/bin/{name}")
    with pytest.raises(SandboxError, match=r"no 'bwrap'.*apt-get install bubblewrap.*allow_unsafe_execution=True"):
        SandboxChecker()


@pytest.mark.parametrize(("limits", "name"), [(Limits(cpu_s=0), "cpu_s"), (Limits(wall_s=-1), "wall_s")])
def test_limits_are_looked_at(limits: Limits, name: str) -> None:
    with pytest.raises(BadValueError, match=name):
        SandboxChecker(limits=limits)


def test_workers_are_looked_at() -> None:
    with pytest.raises(BadValueError, match="workers"):
        SandboxChecker(workers=0)
