"""Routers that ask a chat model: any chat model with instructions, a fine-tuned one with the prompt of its training."""

from langchain_r2.routers.prompted.allocator import ALIASES, PromptedAllocator
from langchain_r2.routers.prompted.decomposer import PromptedDecomposer

__all__ = ["ALIASES", "PromptedAllocator", "PromptedDecomposer"]
