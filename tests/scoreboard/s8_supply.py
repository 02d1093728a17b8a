"""S8: what the library is made of: locked by hash, permissive, nothing hidden, nothing run or contacted at import."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from packaging.requirements import Requirement

from tests.scoreboard.row import Outcome, Row, guarded, judged

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ROOT / "langchain_r2"
EXTRAS: Final = ("openai", "agents", "serve", "sqlite")
_ENTRY: Final = re.compile(r"^([a-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)
_FREE: Final = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|HPND|0BSD|Unlicense)", re.IGNORECASE
)
_UNSAFE: Final = frozenset({
    "pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "torch.load", "yaml.load", "eval", "exec",
    "os.system", "joblib.load", "numpy.load", "np.load",
})  # fmt: skip
_IMPORT: Final = """
import pkgutil, sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system"}:
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
import langchain_r2
for found in pkgutil.walk_packages(langchain_r2.__path__, "langchain_r2."):
    if not found.name.endswith("__main__"):
        __import__(found.name)
"""


def lock_text() -> str:
    """The lock file."""
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def locked() -> dict[str, tuple[str, int]]:
    """Version and number of hashes by package."""
    return {name: (version, hashes.count("sha256")) for name, version, hashes in _ENTRY.findall(lock_text())}


def pinned() -> dict[str, str]:
    """Versions that the tests run with."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)$", text, re.MULTILINE))


def sources() -> dict[str, str]:
    """The library's code by path."""
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in LIBRARY.rglob("*.py")}


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _needed() -> set[str]:
    """Packages that the library and its extras need, directly or not, on this machine."""
    project = _project()["project"]
    direct = [*project["dependencies"], *(r for e in EXTRAS for r in project["optional-dependencies"][e])]
    waiting = [Requirement(text) for text in direct]
    found: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            further = Requirement(text)
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(further)
    return found


def _whole() -> Outcome:
    packages = locked()
    lines = [line for line in lock_text().splitlines() if line and not line.startswith(("#", " "))]
    wrong = {
        "an entry without a hash": not all(hashes for _, hashes in packages.values()),
        "a line that is no entry": len(lines) != len(packages),
        "missing": bool(_needed() - packages.keys()),
        "an address": "://" in lock_text() or "index" in lock_text(),
    }
    return judged("S8", "lock is whole and hashed", wrong, missing=sorted(_needed() - packages.keys()))


def _agrees() -> Outcome:
    pins = pinned()
    other = {name: (version, pins.get(name)) for name, (version, _) in locked().items() if pins.get(name) != version}
    return judged("S8", "lock and constraints agree", {"different": bool(other)}, different=other)


def _no_litellm() -> Outcome:
    text = "\n".join([lock_text(), *sources().values(), *pinned(), str(_project())]).lower()
    return judged("S8", "no litellm", {"named": "litellm" in text, "installed": _installed("litellm")})


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _quiet_import() -> Outcome:
    done = subprocess.run([sys.executable, "-c", _IMPORT], check=False, capture_output=True, text=True, cwd=ROOT)
    return judged(
        "S8", "import contacts and starts nothing", {"it does": done.returncode != 0}, said=done.stderr[-300:]
    )


def _plain_wheel() -> Outcome:
    wheel = _project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    hidden = [
        p.name for p in LIBRARY.rglob("*") if p.suffix in {".pth", ".so", ".egg-link"} or p.name == "sitecustomize.py"
    ]
    wrong = {"files outside the package": wheel != {"packages": ["langchain_r2"]}, "hidden": bool(hidden)}
    return judged("S8", "no .pth and one package in the wheel", wrong, hidden=hidden)


def _licences() -> Outcome:
    other = {}
    for name in locked():
        if not _installed(name):
            continue  # of another platform
        data = distribution(name).metadata
        fields = [data.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")]
        named = [text[:200] for texts in fields[:2] for text in texts]
        told = " ".join([*named, *(c for c in fields[2] if c.startswith("License"))])
        if not _FREE.search(told):
            other[name] = told[:80]
    return judged("S8", "licences are permissive", {"another": bool(other)}, another=other)


def _only_safetensors() -> Outcome:
    files = [p.name for p in LIBRARY.rglob("*") if p.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".npy", ".npz"}]
    return judged("S8", "weights are safetensors", {"others": bool(files)}, others=files)


_CONTAINED: Final = "langchain_r2/evals/sandbox/runner.py"
"""The one file that runs what models wrote: it is a script for the inside of a sandbox, and never imported."""


def _safe_calls() -> Outcome:
    found = [
        f"{path}:{node.lineno} {ast.unparse(node.func)}"
        for path, text in sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _UNSAFE and path != _CONTAINED
    ]
    imported = [path for path, text in sources().items() if re.search(r"import.*\brunner\b|sandbox\.runner\b", text)]
    wrong = {"called": bool(found), "the sandbox's inside imported": bool(imported)}
    return judged("S8", "nothing that runs data", wrong, called=found, imported=imported)


Check = Callable[[], Outcome]
CHECKS: Final[tuple[Check, ...]] = (
    _whole, _agrees, _no_litellm, _quiet_import, _plain_wheel, _licences, _only_safetensors, _safe_calls,
)  # fmt: skip


def run(quick: bool) -> Iterator[Outcome]:
    """Every check."""
    for check in CHECKS:
        if not (quick and check is _quiet_import):  # it imports everything
            yield guarded("S8", check.__name__, partial(check))


def _without_hashes() -> AbstractContextManager[Any]:
    text = re.sub(r" \\\n    --hash=\S+", "", lock_text())
    return patch(f"{__name__}.lock_text", lambda: text)


def _another_version() -> AbstractContextManager[Any]:
    return patch(
        f"{__name__}.lock_text", partial(re.sub, r"^openai==\S+", "openai==0.1", lock_text(), flags=re.MULTILINE)
    )


def _unsafe_code() -> AbstractContextManager[Any]:
    return patch(f"{__name__}.sources", lambda: {"x.py": "import pickle\npickle.loads(b'')"})


ROW: Final = Row(
    id="S8",
    title="supply chain",
    criterion="hashes, permissive licences, no litellm, no hidden code, nothing at import, safetensors only",
    run=run,
    protections={"hashes": _without_hashes, "agreement": _another_version, "safe calls": _unsafe_code},
)
