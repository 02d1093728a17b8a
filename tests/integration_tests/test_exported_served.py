"""A trained role that was merged into its base, behind a ``transformers serve`` that is really started."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import embedded_router
from langchain_r2.embedded.bundle import HOME, router_spec
from langchain_r2.embedded.chat import read_json
from langchain_r2.evals.benchmarks.arithmetic import problems
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import bare
from langchain_r2.routers.prompted import PromptedDecomposer
from tests.integration_tests.serving import transformers_serve
from training.export import export_merged

QUERIES = [p.query for p in islice(problems("validation", seed=5, shard="exported"), 3)]
HERE = router_spec(HOME, "decomposer", read_json(HOME / "router.json"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSpec]:
    folder: Path = tmp_path_factory.mktemp("exported")
    base, adapter = HOME / "router/decomposer_base", HOME / "router/decomposer"
    facts = {"role": "decomposer"}
    export_merged(adapter, folder / "merged", base=str(base), tokenizer=str(HOME / "tokenizer"), facts=facts)
    with transformers_serve(folder, "merged") as url:
        yield replace(HERE, model="merged", base_url=url, capabilities=frozenset())


@pytest.mark.slow
def test_the_served_model_writes_the_plans_of_base_and_adapter(served: ModelSpec) -> None:
    for query in QUERIES:
        prompt = bare.decompose(query).user
        assert served.chat_model().invoke(prompt, max_tokens=128).text == HERE.chat_model().invoke(prompt).text


@pytest.mark.slow
def test_a_graph_runs_with_the_served_decomposer(served: ModelSpec) -> None:
    router = embedded_router()
    expected = [create_r2_graph(**router).invoke({"query": query}) for query in QUERIES]
    router["decomposer"] = PromptedDecomposer(served)
    graph = create_r2_graph(**router)
    for query, same in zip(QUERIES, expected, strict=True):
        state = graph.invoke({"query": query})
        assert (state["answer"], state["plan"]["subtasks"]) == (same["answer"], same["plan"]["subtasks"])
        assert {a["error_type"] for a in state["attempts"]} == {None}
