"""What ``import langchain_r2`` gives, and what it must not pull in."""

import subprocess
import sys

import langchain_r2

EXPECTED = [
    "FREE",
    "BudgetError",
    "ChatR2",
    "ConfigurationError",
    "ModelCallError",
    "ModelPool",
    "ModelSpec",
    "Price",
    "R2Context",
    "R2Error",
    "RunRecord",
    "__version__",
    "aresume",
    "create_r2_graph",
    "resume",
]

HEAVY = ["torch", "transformers", "trl", "peft", "numpy", "langchain_openai", "safetensors", "tokenizers"]


def test_the_public_names_are_these() -> None:
    assert sorted(langchain_r2.__all__) == sorted(EXPECTED)


def test_the_public_names_fit_on_a_screen() -> None:
    assert len(langchain_r2.__all__) <= 15


def test_every_public_name_exists() -> None:
    assert [name for name in langchain_r2.__all__ if not hasattr(langchain_r2, name)] == []


def test_the_import_is_light() -> None:
    code = f"import langchain_r2, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
