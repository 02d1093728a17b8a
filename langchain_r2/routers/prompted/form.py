"""In which form a prompted router's replies are asked for."""

from langchain_r2.model_spec import ModelSpec


def asks_for_json(spec: ModelSpec) -> bool:
    """Whether replies are asked for as JSON; a fine-tuned model writes what it was trained to write."""
    return spec.prompt_style == "instruct" and "structured_output" in spec.capabilities
