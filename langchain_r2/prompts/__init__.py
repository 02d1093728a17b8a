"""One template per step; running, SFT data and rollouts share them."""

from langchain_r2.prompts import bare, instruct, plain, schemas
from langchain_r2.prompts.base import Card, Prompt, Prompts, plan_lines


def prompts_for(style: str) -> Prompts:
    """The prompts that a model of that ``prompt_style`` reads."""
    if style == "plain":
        return plain
    return bare if style == "bare" else instruct


__all__ = ["Card", "Prompt", "Prompts", "plan_lines", "prompts_for", "schemas"]
