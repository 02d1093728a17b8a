"""The model that learns: base and LoRA adapter, the chat prompts of its role, and rollouts written in numpy.

Prompts are the library's own, as chat messages through the tokenizer's chat template: what learns reads what it will
read when it runs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_r2.embedded.engine import Llama
from langchain_r2.errors import BadValueError
from langchain_r2.in_process import Request
from langchain_r2.parsing import renumbered
from langchain_r2.prompts import plan_lines, prompts_for
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.types import Subtask
from langchain_r2.weights import ADAPTER, check_adapter, check_folder
from training.grpo_settings import RoleSettings

Chat = list[dict[str, str]]
"""As chat templates take it."""


class Policy(NamedTuple):
    """A model that can learn."""

    model: Any
    """peft's."""
    tokenizer: Any


def load_policy(
    settings: RoleSettings, *, dtype: str = "float32", adapter: Path | None = None, seed: int = 0
) -> Policy:
    """Load a role's model, its adapter ready to learn.

    Args:
        settings: Which.
        dtype: Of the base; an adapter is always float32.
        adapter: In place of the one in the settings.
        seed: Of a new adapter's weights.

    Raises:
        BadValueError: There is no such model, the adapter is for another base, or there is no chat template.
    """
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = str(adapter or settings.adapter) if adapter or settings.adapter else None
    tokenizer_path = settings.tokenizer or _beside(source) or settings.base
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_path, padding_side="left")
        base: Any = AutoModelForCausalLM.from_pretrained(
            settings.base, dtype=getattr(torch, dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        hint = f"Give a folder with config.json and model.safetensors, or an id that can be downloaded. ({error})"
        raise BadValueError("base", (settings.base, tokenizer_path), hint=hint) from error
    if tokenizer.chat_template is None:
        hint = "A router reads chat messages: take an instruct model, or give its tokenizer a template."
        raise BadValueError("tokenizer", tokenizer_path, "one with a chat template", hint)
    if source is None:
        torch.manual_seed(seed)
        config = LoraConfig(
            r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        return Policy(get_peft_model(base, config), tokenizer)
    if Path(source).is_dir():
        check_folder(Path(source), ADAPTER)
        if Path(settings.base).is_dir():
            check_adapter(Path(settings.base), Path(source))
    try:
        model = PeftModel.from_pretrained(base, source, is_trainable=True)
        model.peft_config[
            "default"
        ].base_model_name_or_path = settings.base  # an adapter may have come with another path
        return Policy(model, tokenizer)
    except (OSError, RuntimeError, ValueError) as error:
        hint = f"It has to be a LoRA adapter for {settings.base}. ({error})"
        raise BadValueError("adapter", source, "a LoRA adapter of this base", hint) from error


def _beside(adapter: str | None) -> str | None:
    """The folder of an adapter that has its tokenizer with it."""
    return adapter if adapter and (Path(adapter) / "tokenizer_config.json").is_file() else None


def as_chat(messages: Sequence[BaseMessage]) -> Chat:
    """LangChain's messages as chat templates take them."""
    roles = {"human": "user", "ai": "assistant", "system": "system"}
    return [{"role": roles.get(m.type, "user"), "content": str(m.text)} for m in messages]


def decompose_chat(query: str, style: str, *, max_subtasks: int) -> Chat:
    """What a decomposer is asked."""
    return as_chat(prompts_for(style).decompose(query, max_subtasks=max_subtasks).messages())


def allocate_chat(allocator: PromptedAllocator, query: str, subtasks: Sequence[Subtask]) -> Chat:
    """What an allocator is asked: the cards as it sees them when it runs."""
    plan = plan_lines(renumbered(subtasks))
    return as_chat(
        prompts_for(allocator.spec.prompt_style).allocate(query, plan, cards=allocator.cards(query)).messages()
    )


def prompt_tokens(tokenizer: Any, chat: Chat) -> int:  # noqa: ANN401 - transformers' tokenizers have no common type
    """How long a prompt is, with the template around it."""
    return len(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))


class NumpyRollouts:
    """Writes rollouts with the embedded engine, from the weights as they are at each step.

    On models of a hundred thousand parameters transformers spends its time between the operations: here a step's
    rollouts take a third of it. Draws depend on seed, step and row, so a step that is done again draws the same.
    """

    def __init__(self, policy: Policy, *, seed: int) -> None:
        """Take the policy.

        Raises:
            BadValueError: The engine cannot run its architecture.
        """
        config = policy.model.config
        full = config.num_key_value_heads == config.num_attention_heads
        if config.model_type != "llama" or not full or not config.tie_word_embeddings:
            allowed = "transformers, for any other than Llama models with tied embeddings and as many keys as heads"
            raise BadValueError("generation", "numpy", allowed)
        self.tokenizer, self.seed = policy.tokenizer, seed
        self.config = config.to_dict()

    def __call__(self, prompts: list[Chat], trainer: Any) -> dict[str, list[list[Any]]]:  # noqa: ANN401 - TRL's
        """As TRL's ``rollout_func``: one completion per prompt given."""
        engine = Llama(merged_weights(trainer.model), self.config, self.tokenizer.eos_token_id)
        ids = self.tokenizer.apply_chat_template(prompts, add_generation_prompt=True, return_dict=False)
        first = self.seed * 1_000_003 + trainer.state.global_step * 10_007
        requests = [
            Request(prompt, trainer.max_completion_length, trainer.temperature, first + row)
            for row, prompt in enumerate(ids)
        ]
        written = engine.generate(requests)
        end = [self.tokenizer.eos_token_id]
        return {
            "prompt_ids": ids,
            "completion_ids": [w.ids + end if w.finished else w.ids for w in written],
            "logprobs": [w.logprobs for w in written],
        }


def merged_weights(model: Any) -> Mapping[str, Any]:  # noqa: ANN401 - peft's model
    """Weights of a peft model under its base's names, the active adapter merged in, as numpy arrays."""
    import torch

    adapter = model.active_adapter
    found = {}
    with torch.no_grad():
        for name, module in model.base_model.model.named_modules():
            if hasattr(module, "base_layer"):
                found[f"{name}.weight"] = (module.base_layer.weight + module.get_delta_weight(adapter)).float().numpy()
        for name, weight in model.base_model.model.named_parameters():
            if "lora_" not in name and ".base_layer." not in name:
                found[name] = weight.detach().float().numpy()
    return found
