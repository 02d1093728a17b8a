"""The files that langgraph.json names: each is a graph with an own name, drawn in graphs/README.md as it is."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.trace import draw_graph

ROOT = Path(__file__).parents[2]
GRAPHS: dict[str, dict[str, str]] = json.loads((ROOT / "langgraph.json").read_text())["graphs"]


def loaded(name: str) -> Any:
    """As the server loads it: by its path, under a name of its own."""
    file, variable = GRAPHS[name]["path"].split(":")
    spec = importlib.util.spec_from_file_location(f"served_{name}", ROOT / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, variable)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_has_the_name_that_it_is_served_under_and_no_checkpointer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("R2_POOL", raising=False)
    graph = loaded(name)
    assert graph.name == name
    assert graph.checkpointer is None


def test_the_pool_of_the_environment_is_taken_and_its_key_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R2_POOL", "paper")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert loaded("r2").name == "r2"
    monkeypatch.setenv("R2_POOL", "no such file.toml")
    with pytest.raises(Exception, match=r"no such file\.toml"):
        loaded("r2")


@pytest.mark.parametrize("name", ["r2_embedded", "tool_agent"])
def test_the_drawn_graphs_are_those_that_run(name: str) -> None:
    drawn = draw_graph(loaded(name).get_graph(xray=True), "mermaid")
    assert f"```mermaid\n{drawn!s}```" in (ROOT / "graphs" / "README.md").read_text()
