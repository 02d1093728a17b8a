"""Runnables that decide: decomposers make plans, allocators give subtasks to models."""

from langchain_r2.routers.base import (
    Allocator,
    AllocatorInput,
    AllocatorOutput,
    Decomposer,
    DecomposerInput,
    DecomposerOutput,
)

__all__ = ["Allocator", "AllocatorInput", "AllocatorOutput", "Decomposer", "DecomposerInput", "DecomposerOutput"]
