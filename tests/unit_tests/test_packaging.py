"""What pyproject.toml promises, and what the sources promise about it."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import langchain_r2
from langchain_r2._version import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "langchain_r2"

HINT = re.compile(r"langchain-r2\[([a-z0-9_,\s-]+)\]")
# The second argument of MissingExtraError, which writes the hint: its first may hold anything, even brackets.
RAISED = re.compile(r'MissingExtraError\((?:[^\n]*,|\s*[^\n]*,\s*)\s*(?:extra=)?"([a-z0-9_,-]+)",?\s*\)')


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


def hinted_extras(source: str) -> set[str]:
    """Every extra that a source text tells the user to install."""
    lists = HINT.findall(source) + RAISED.findall(source)
    return {name.strip() for names in lists for name in names.split(",")}


def test_the_installed_version_is_the_one_in_the_source() -> None:
    assert importlib.metadata.version("langchain-r2") == __version__


def test_the_version_is_written_once(project: dict[str, Any]) -> None:
    assert "version" not in project
    assert project["dynamic"] == ["version"]


def test_the_package_is_typed() -> None:
    assert (Path(langchain_r2.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"pip install \\"langchain-r2[local]\\""', {"local"}),
        ('`pip install "langchain-r2[openai, draw]"`', {"openai", "draw"}),
        ('raise MissingExtraError(f"model {a!r} of {b[0]!r} ({error})", "openai") from error', {"openai"}),
        ('raise MissingExtraError(\n    "routers",\n    extra="local",\n) from error', {"local"}),
        ('f"langchain-r2[{extra}]"', set()),
    ],
)
def test_the_search_for_hints_finds_every_form(source: str, expected: set[str]) -> None:
    assert hinted_extras(source) == expected


def test_every_hinted_extra_exists(project: dict[str, Any]) -> None:
    extras = set(project["optional-dependencies"])
    hinted = {path: hinted_extras(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}

    assert any(hinted.values()), "no hint found: the search is broken"
    unknown = {str(path.relative_to(ROOT)): names - extras for path, names in hinted.items() if names - extras}
    assert unknown == {}


def test_the_core_needs_no_extra(project: dict[str, Any]) -> None:
    def name(requirement: str) -> str:
        found = re.match(r"[a-z0-9-]+", requirement)
        assert found is not None
        return found.group()

    core = {name(r) for r in project["dependencies"]}
    optional = {name(r) for listed in project["optional-dependencies"].values() for r in listed}
    assert core & optional == set()


def test_every_requirement_has_both_bounds(project: dict[str, Any]) -> None:
    listed = [*project["dependencies"], *(r for rs in project["optional-dependencies"].values() for r in rs)]
    unbounded = [r for r in listed if not r.startswith("langchain-r2[") and not re.search(r">=[\d.]+,<\d", r)]
    assert unbounded == []
