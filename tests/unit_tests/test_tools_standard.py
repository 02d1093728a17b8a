"""What we ship of tools and retrievers passes LangChain's own suites."""

import runpy
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_r2.bm25 import BM25Retriever

FILE = Path(__file__).parents[2] / "examples" / "05_tools.py"


def example_tool() -> BaseTool:
    found: BaseTool = runpy.run_path(str(FILE), run_name="loaded")["multiply"]
    return found


class TestCalculator(ToolsUnitTests):
    @property
    def tool_constructor(self) -> BaseTool:
        return example_tool()

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"a": 6, "b": 7}


class TestCalculatorRuns(ToolsIntegrationTests):
    @property
    def tool_constructor(self) -> BaseTool:
        return example_tool()

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"a": 6, "b": 7}


class TestBM25(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BM25Retriever]:
        return BM25Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"documents": [Document(f"text number {n}") for n in range(6)]}

    @property
    def retriever_query_example(self) -> str:
        return "which text ?"
