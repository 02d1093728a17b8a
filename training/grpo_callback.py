"""What happens after each step of a phase: its line of metrics, the bar, the stop at a given step."""

import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.grpo_metrics import Dominance, PhaseMetrics
from training.rollouts import Rollouts


class StepCallback(TrainerCallback):
    """Writes a line per step, and ends the phase with a checkpoint at a given step."""

    def __init__(self, stage: str, rollouts: Rollouts, metrics: PhaseMetrics, until_step: int) -> None:
        """Take what is told and where."""
        self.stage, self.rollouts, self.metrics, self.until_step = stage, rollouts, metrics, until_step
        self._dominance = Dominance(stage)
        self._bar: Any = None
        self._at = time.perf_counter()

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002 - transformers gives all of them
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Show the bar."""
        # The trainer's state has not been read from the checkpoint yet when there is one: the bar catches up.
        self._bar = tqdm(total=self.until_step, initial=state.global_step, desc=self.stage, unit="step", mininterval=2)
        self._at = time.perf_counter()

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Stop in time."""
        if state.global_step >= self.until_step:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,
    ) -> None:
        """Write the step's line."""
        logs: Mapping[str, Any] = kwargs["logs"]
        if self.rollouts.facts is None or "entropy" not in logs or not state.is_world_process_zero:
            return  # the summary at the end of training has no entropy
        now = time.perf_counter()
        row = {"step": state.global_step, "stage": self.stage, **self.rollouts.facts.as_metrics()}
        row |= {"kl": logs.get("kl"), "entropy": logs["entropy"], "loss": logs.get("loss")}
        counts = getattr(self.rollouts.runner.transport, "counts", None)  # of reviews
        row |= {"review": counts.as_metrics()} if counts is not None else {}
        row |= {"tokens": logs.get("completions/mean_length"), "seconds": now - self._at}
        row |= {"spent_usd": self.metrics.spent_usd, "warning": self._dominance.see(self.rollouts.facts.models)}
        self._at = now
        self.metrics.add(row)
        shown = {name: "-" if row[name] is None else f"{row[name]:.3f}" for name in ("reward", "accuracy")}
        spent = "?" if row["spent_usd"] is None else f"{row['spent_usd']:.4g}"
        self._bar.set_postfix({**shown, "usd": spent}, refresh=False)
        self._bar.update(state.global_step - self._bar.n)

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Close the bar."""
        self._bar.close()
