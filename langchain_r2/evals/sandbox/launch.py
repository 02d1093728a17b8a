"""How a Python for code of models is started: the command, its limits, and what it can see.

Contained, it is bubblewrap's child: new namespaces of every kind (no network, nobody else's processes), a root of a
few read-only folders, no /proc, no /dev, no environment, a list of system calls. Root gives up its identity first:
with root's, limits would bind it less.
"""

import marshal
import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path
from typing import Final, NamedTuple

from langchain_r2.errors import BadValueError, SandboxError
from langchain_r2.evals.sandbox import seccomp

UID: Final = 65_530
"""Who contained code is, where root starts it: outside of what Debian and systemd give away, and nobody else."""
STAGE: Final = "/mnt"
"""Where the supervisor shows its children an interpreter that lies in a folder of root's."""
RUNNER: Final = Path(__file__).with_name("runner.py")
_LIBRARIES: Final = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64")
_MIB: Final = 1 << 20


class Limits(NamedTuple):
    """What one run of code may take. A check of an answer that is code has two runs."""

    cpu_s: int = 10
    """Of P3's 1,661 reference solutions three need two seconds, twice or three times that on a busy machine; all others
    less than one."""
    wall_s: float = 40.0
    """More than the processor time: a busy machine is not the answer's fault."""
    memory_mib: int = 512
    answer_mib: int = 96
    """A value that code works out, as text: the longest of a reference solution of P3 has 68 MB."""

    def check(self) -> None:
        """See that they are possible.

        Raises:
            BadValueError: One is not.
        """
        for name, value in self._asdict().items():
            if not value > 0:
                raise BadValueError(name, value, "a number above 0")


class Launch(NamedTuple):
    """How to start it."""

    argv: list[str]
    filter: bytes = b""
    """The system calls allowed, handed to it as descriptor 4."""
    staged: tuple[str, ...] = ()
    """What the supervisor has to show below `STAGE` first."""


def plain(limits: Limits) -> Launch:
    """A Python that is contained by nothing but limits. Only for code that may do whatever the user may."""
    return Launch([*_limited(limits), *_python()])


def contained(limits: Limits) -> Launch:
    """A Python in a sandbox.

    Raises:
        SandboxError: This machine lacks what it takes.
    """
    if sys.platform != "linux":
        raise SandboxError(f"the sandbox needs Linux, not {sys.platform!r}")
    root = os.geteuid() == 0
    staged = tuple(path for path in _interpreter() if root and not _open_to_all(path))
    binds: list[str] = []
    for path in _LIBRARIES:
        if Path(path).is_symlink():
            binds += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            binds += ["--ro-bind", path, path]
    for path in _interpreter():
        binds += ["--ro-bind", STAGE + path if path in staged else path, path]
    argv = [
        *_limited(limits),
        *(_dropped() if root else []),
        *[_program("bwrap", "bubblewrap"), "--unshare-all", "--die-with-parent"],
        *[*binds, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"],
        *["--remount-ro", "/", "--chdir", "/", "--seccomp", "4", *_python(), "alone"],
    ]
    return Launch(argv, seccomp.program(), staged)


def environment() -> dict[str, str]:
    """All that code sees of an environment: the same order of sets in every run."""
    return {"PYTHONHASHSEED": "0"}


def _python() -> list[str]:
    # Packages, the user's folder and the working directory are no places to import from. Python refuses to convert
    # integers of more than 4,300 digits unless told: two reference solutions of P3 have more.
    flags = ["-s", "-P", "-S", "-B", "-X", "utf8", "-X", "int_max_str_digits=0"]
    # Compiled once, here, by the same Python: there it would take 2 ms every time.
    code = marshal.dumps(compile(RUNNER.read_text(encoding="utf-8"), "<runner>", "exec", dont_inherit=True)).hex()
    return [_interpreter()[0], *flags, "-c", f"import marshal; exec(marshal.loads(bytes.fromhex('{code}')))"]


def _limited(limits: Limits) -> list[str]:
    """Limits of every process that follows: no file can grow, no core is dumped, few files are open."""
    return [
        _program("prlimit", "util-linux"),
        f"--cpu={limits.cpu_s}:{limits.cpu_s + 1}",
        f"--as={limits.memory_mib * _MIB}",
        *["--fsize=0", "--core=0", "--nofile=64", "--memlock=0", "--msgqueue=0"],
    ]


def _dropped() -> list[str]:
    return [
        *[_program("setpriv", "util-linux"), f"--reuid={UID}", f"--regid={UID}", "--clear-groups"],
        *["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"],
    ]


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    if found is None:
        raise SandboxError(f"there is no {name!r} on this machine", f"Install it, such as `apt-get install {package}`.")
    return found


def _interpreter() -> list[str]:
    """The files of this Python itself, no virtual environment: program, standard library, its own shared library."""
    program = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    shared = sysconfig.get_config_var("LDLIBRARY") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
    loaded: list[str] = []
    if shared:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").split()
        loaded = sorted({word for word in maps if word.startswith("/") and "/libpython" in word})
    return [program, sysconfig.get_path("stdlib"), *loaded]


def _open_to_all(path: str) -> bool:
    """Whether any user can reach a path."""
    return all(Path(part).stat().st_mode & stat.S_IXOTH for part in Path(path).parents)
