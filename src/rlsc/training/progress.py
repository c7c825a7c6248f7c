"""What accompanies training: the progress bar with a line a step, and the check for NaN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TaskID
from transformers import TrainerCallback

from rlsc.errors import NonFiniteError, OutputError
from rlsc.guard import VERDICTS
from rlsc.runtime import Advance, console, gathered, local, make_progress
from rlsc.training.value_head import ValueHead

LINE = (
    "step {step:>3}  loss {loss:.4g}  p(y) {mean_p:.3g}  entropy {entropy:.3g}  "
    "length {completion_length:.1f}  truncated {truncation_rate:.0%}  "
    "distinct {distinct_completions:.0%}  grad {grad_norm:.3g}"
)


def step_line(step: int, metrics: Mapping[str, float]) -> str:
    """One line for a step; `step` counts the updates made before its completions were sampled."""
    line = LINE.format(step=step, **{"grad_norm": float("nan"), **metrics})
    verdict = metrics.get("guard/verdict")
    return line if verdict is None else f"{line}  {VERDICTS[int(verdict)]}"


class StepProgress(TrainerCallback):
    """A bar over the run with the time left, moving within a step too, and a line a step."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not (self._enabled and state.is_world_process_zero):
            return
        self._progress = make_progress("steps")
        self._task = self._progress.add_task(
            "training", total=state.max_steps, completed=state.global_step
        )
        self._progress.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs and "mean_p" in logs:
            console.print(step_line(state.global_step - 1, logs), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Close the bar; also after an error, or the terminal would keep it."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def sampling(self, total: int) -> Advance:
        """The first half of a step, in completions."""
        return self._part("sampling", total)

    def updating(self, total: int) -> Advance:
        """The second half of a step, in micro-batches."""
        return self._part("updating", total)

    @contextmanager
    def aside(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        """Of work within a step that is none of its halves: a line of its own while it goes on."""
        progress = self._progress
        if progress is None:
            yield lambda done: None
            return
        task = progress.add_task(description, total=total, unit=unit)
        try:
            yield lambda done: progress.advance(task, done)
        finally:
            progress.remove_task(task)

    def _part(self, description: str, total: int) -> Advance:
        progress, task = self._progress, self._task
        if progress is None or task is None:
            return lambda done: None
        progress.update(task, description=description)
        return lambda done: progress.advance(task, 0.5 * done / total)


class StopOnNonFinite(TrainerCallback):
    """Raises before an update would put NaN or infinity into the weights."""

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        finite = all(bool(torch.isfinite(local(gradient)).all()) for gradient in gradients)
        if not all(gathered(finite)):  # of sharded ones a process sees its part
            raise NonFiniteError(non_finite_message("gradient", state.global_step, args.output_dir))


def non_finite_message(what: str, step: int, output_dir: str) -> str:
    """What to say when the loss or the gradient of a step is no longer finite."""
    return (
        f"step {step}: the {what} is not finite; stopped before the update. Checkpoints saved in "
        f"{output_dir} stand; start again with a lower learning_rate in another --output_dir"
    )


class KeepValueHead(TrainerCallback):
    """Reads a value head back where a run goes on; it is saved beside every checkpoint."""

    def __init__(self, head: ValueHead) -> None:
        self._head = head
        self.save = head.save

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.global_step:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        try:
            self._head.load(folder)
        except FileNotFoundError as error:
            raise OutputError(f"{folder} has no value head: start again") from error
