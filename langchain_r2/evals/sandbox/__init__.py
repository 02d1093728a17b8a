"""Runs code that models wrote, contained: see docs/security.md for what that holds and what it does not."""

from langchain_r2.evals.sandbox.checker import SandboxChecker
from langchain_r2.evals.sandbox.launch import Limits

__all__ = ["Limits", "SandboxChecker"]
