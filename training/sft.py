"""Fits a LoRA adapter of a role to verified texts, with TRL's SFTTrainer.

Texts are encoded here, not by TRL: the prompt's ids are those that ``LocalChatModel`` sends, and the reply ends with
the token that it stops at. Only the reply is learned.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from langchain_r2.embedded.bundle import HOME
from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.pool_file import EMBEDDED
from training.embedded.supervised import SUPERVISED
from training.grpo_settings import RoleSettings
from training.policy import Policy, load_policy
from training.settings import SftSettings
from training.sft_data import Role, Text

REPORT: Final = "sft.json"
"""Beside the adapter: what it was fitted to, and how that went."""
_STARTED: Final = "started.json"


@dataclass(frozen=True, kw_only=True)
class SftReport:
    """What a fit took and gave."""

    role: str
    base: str
    texts: int
    by_style: dict[str, int]
    too_long: int
    """Texts left out because they are longer than ``max_length``."""
    tokens: int
    steps: int
    seconds: float
    loss: float
    """Mean of the last tenth of the steps."""
    provenance: Mapping[str, Any]
    settings: Mapping[str, Any]


def fit_adapter(
    role: Role,
    texts: Sequence[Text],
    settings: SftSettings,
    out: Path,
    provenance: Mapping[str, Any],
    *,
    on_step: Callable[[int], None] | None = None,
) -> SftReport:
    """Fit an adapter; started again with the same texts and settings it goes on from its last checkpoint.

    Args:
        role: Who learns.
        texts: What it learns.
        settings: Base and schedule.
        out: Folder of the adapter, with tokenizer, ``sft.json`` and ``checkpoints``.
        provenance: Of the texts.
        on_step: Told the number of every step that was done.

    Raises:
        BadValueError: There is no such base, it has no chat template, no text is short enough, or the folder holds
            something fitted otherwise.
        MissingExtraError: TRL is not installed.
    """
    try:
        import torch
        from transformers.trainer_utils import get_last_checkpoint
        from trl.trainer.sft_trainer import SFTTrainer
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    known = _begun(out, {"role": role, "settings": asdict(settings), **provenance})
    if known is not None:
        return known
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two of these run side by side; the embedded models are too small for more
    model, tokenizer = load_base(role, settings)
    rows = [row for text in texts if (row := encoded(tokenizer, text, settings.max_length))]
    if not rows:
        raise BadValueError("max_length", settings.max_length, "tokens of at least one text", "All are longer.")
    trainer: Any = SFTTrainer(
        model=model,
        args=_config(settings, out),
        train_dataset=_dataset(rows),
        processing_class=tokenizer,
        callbacks=[_watcher(on_step)] if on_step else None,
    )
    checkpoints = out / "checkpoints"
    last: Any = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None  # type: ignore[no-untyped-call]
    ended = trainer.train(resume_from_checkpoint=last)
    save_adapter(trainer.model, tokenizer, out, settings)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tail = losses[-max(1, len(losses) // 10) :]
    report = SftReport(
        role=role,
        base=settings.base,
        texts=len(rows),
        by_style=dict(Counter(text.style for text in texts)),
        too_long=len(texts) - len(rows),
        tokens=int(trainer.state.num_input_tokens_seen),
        steps=int(trainer.state.global_step),
        seconds=float(ended.metrics["train_runtime"]),
        loss=sum(tail) / len(tail) if tail else float(ended.training_loss),
        provenance=provenance,
        settings=asdict(settings),
    )
    (out / REPORT).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return report


def load_base(role: Role, settings: SftSettings) -> Policy:
    """The base with its adapter, ready to learn, and the tokenizer.

    Raises:
        BadValueError: There is no such base or adapter, or the tokenizer has no chat template.
    """
    base, tokenizer = base_paths(role, settings)
    adapter = str(SUPERVISED / role) if settings.adapter == EMBEDDED else settings.adapter
    start = RoleSettings(base=base, adapter=adapter, tokenizer=tokenizer, rank=settings.rank)
    policy = load_policy(start, dtype=settings.dtype, seed=settings.seed)
    policy.tokenizer.padding_side = "right"  # of what is learned the end is padded; rollouts begin at the same place
    return policy


def base_paths(role: Role, settings: SftSettings) -> tuple[str, str]:
    """Where base and tokenizer are."""
    if settings.base == EMBEDDED:
        return str(HOME / "router" / f"{role}_base"), settings.tokenizer or str(HOME / "tokenizer")
    return settings.base, settings.tokenizer or settings.base


def encoded(tokenizer: Any, text: Text, max_length: int) -> dict[str, list[int]] | None:  # noqa: ANN401 - transformers'
    """A text as ids and labels; None where it is too long."""
    roles = {"human": "user", "ai": "assistant", "system": "system"}
    chat = [{"role": roles[m.type], "content": str(m.text)} for m in text.messages]
    prompt: list[int] = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    told = tokenizer(text.reply, add_special_tokens=False, return_offsets_mapping=bool(text.unknown))
    reply = [*told["input_ids"], tokenizer.eos_token_id]
    if len(prompt) + len(reply) > max_length:
        return None
    labels = list(reply)
    spans = list(_models_in(text.reply, text.unknown))
    for place, (begin, end) in enumerate(told.get("offset_mapping", [])):
        if any(begin < until and end > since for since, until in spans):
            labels[place] = -100
    return {"input_ids": prompt + reply, "labels": [-100] * len(prompt) + labels}


def _models_in(reply: str, lines: Collection[int]) -> Iterator[tuple[int, int]]:
    """Where in an allocation the models of some lines stand."""
    begin = 0
    for number, line in enumerate(reply.split("\n")):
        if number in lines:
            yield begin + line.index(":") + 1, begin + len(line)
        begin += len(line) + 1


def save_adapter(model: Any, tokenizer: Any, out: Path, settings: SftSettings) -> None:  # noqa: ANN401 - peft's, transformers'
    """Write adapter and tokenizer, with nothing of this machine in them."""
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    config = out / "adapter_config.json"
    stated = json.loads(config.read_text(encoding="utf-8"))
    stated |= {"base_model_name_or_path": settings.base, "inference_mode": True}
    stated["target_modules"] = sorted(stated["target_modules"])
    config.write_text(json.dumps(stated, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (out / "README.md").unlink(missing_ok=True)  # peft's names the folder of the base; `export` writes a card


def _begun(out: Path, asked: Mapping[str, Any]) -> SftReport | None:
    """The report of a fit that has ended; None where there is still something to do."""
    out.mkdir(parents=True, exist_ok=True)
    asked = json.loads(json.dumps(asked))
    if (out / _STARTED).exists():
        if json.loads((out / _STARTED).read_text(encoding="utf-8")) != asked:
            hint = "Take another --out, or delete it."
            raise BadValueError("folder to go on with", str(out), "one of a fit with the same settings and texts", hint)
    else:
        (out / _STARTED).write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
    if not (out / REPORT).exists():
        return None
    return SftReport(**json.loads((out / REPORT).read_text(encoding="utf-8")))


def _config(settings: SftSettings, out: Path) -> Any:  # noqa: ANN401 - TRL's
    import torch
    from trl.trainer.sft_config import SFTConfig

    logging.getLogger("transformers").setLevel(logging.ERROR)
    return SFTConfig(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        max_length=settings.max_length,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=10,
        include_num_input_tokens_seen="all",
        activation_checkpointing=settings.gradient_checkpointing,
        use_cpu=not torch.cuda.is_available(),
        bf16=settings.dtype == "bfloat16",
        fp16=settings.dtype == "float16",
        report_to="none",
        seed=settings.seed,
    )


def _dataset(rows: Sequence[Mapping[str, list[int]]]) -> Any:  # noqa: ANN401 - of datasets
    from datasets import Dataset

    return Dataset.from_list([dict(row) for row in rows])


def _watcher(on_step: Callable[[int], None]) -> Any:  # noqa: ANN401 - transformers'
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - as called
            on_step(state.global_step)

    return Watcher()
