"""A step's loss and its gradients, micro-batch by micro-batch.

Of several processes each has its own micro-batches, perhaps more or fewer than another, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from rlsc.errors import NonFiniteError
from rlsc.logprobs.padded_rows import ScoredSequence
from rlsc.logprobs.scorer import Batch, TokenStats
from rlsc.objectives import Objective
from rlsc.runtime.processes import gathered
from rlsc.runtime.sharding import in_step, whole
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.metrics import StepRecord
from rlsc.training.progress import StepProgress, non_finite_message
from rlsc.training.update import StepBatch, micro_batch_loss, rows_that_weigh

_NOTHING = (ScoredSequence((0,), (0,), ()),)
"""Two tokens, for the turn of a process that has no micro-batch left."""


class Gradients:
    """Called once a step. `score` is the policy's forward, `cut` makes micro-batches of rows."""

    def __init__(
        self,
        args: RLSCConfig,
        objective: Objective,
        auxiliary: AuxiliaryModels,
        score: Callable[..., TokenStats],
        cut: Callable[[Sequence[ScoredSequence]], Sequence[Batch]],
        accelerator: Any,
        progress: StepProgress,
    ) -> None:
        self._args, self._objective, self._auxiliary = args, objective, auxiliary
        self._score, self._cut, self._accelerator = score, cut, accelerator
        self._progress = progress

    def __call__(
        self, model: torch.nn.Module, inputs: StepBatch, record: StepRecord, step: int
    ) -> Tensor:
        """The loss, of this process's completions; gradients are in the model, the record filled.

        `model` may be wrapped. Raises `NonFiniteError`.
        """
        micro_batches, total = inputs.micro_batches, torch.zeros((), device=self._args.device)
        skips = bool(self._args.skip_weight_below)
        if skips:
            total = total + self._without_gradient(model, micro_batches, inputs, record, step)
            micro_batches = self._without_light_rows(inputs, record)
        turns = self._turns(model, micro_batches)
        with self._progress.updating(len(turns)) as on_progress:
            for index, batch in enumerate(turns):
                with self._together(model, last=index == len(turns) - 1):
                    if batch is None:
                        loss = self._nothing(model)
                    else:
                        loss = self._loss(model, batch, inputs, record, step)
                    self._accelerator.backward(loss)
                if not skips:
                    total += loss.detach()
                on_progress(1)
        return total + self._without_gradient(model, inputs.idle, inputs, record, step)

    def _turns(self, model: torch.nn.Module, micro_batches: Sequence[Batch]) -> list[Batch | None]:
        """The micro-batches, and None where only the others have one.

        Sharded weights are gathered in every pass, so that all processes make as many; otherwise
        they meet in the last alone, which all must have.
        """
        mine = len(micro_batches)
        number = max(gathered(mine)) if in_step(model) else max(1, mine)
        return [*repeat(None, number - mine), *micro_batches]

    def _together(self, model: torch.nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged with the last pass; sharded ones with each, or all were held."""
        # DeepSpeed exchanges where this says so, and then takes the optimizer's step.
        self._accelerator.gradient_state._set_sync_gradients(last)
        if last or in_step(model):
            return nullcontext()
        context: AbstractContextManager[Any] = self._accelerator.no_sync(model)
        return context

    def _nothing(self, model: torch.nn.Module) -> Tensor:
        """A forward pass whose every gradient is 0."""
        (batch,) = self._cut(_NOTHING)
        scores = self._score(batch, self._args.loss_temperature, model)
        self._reference_logps(batch)  # of an adapter's model: a pass as the others make
        return 0.0 * (scores.logps_BT.sum() + scores.entropies_BT.sum())

    @torch.no_grad()
    def _without_gradient(
        self,
        model: torch.nn.Module,
        batches: Sequence[Batch],
        inputs: StepBatch,
        record: StepRecord,
        step: int,
    ) -> Tensor:
        """By the plain model: a wrapped one may wait for other processes."""
        total = torch.zeros((), device=self._args.device)
        plain = self._accelerator.unwrap_model(model)
        with whole(plain) if any(gathered(len(batches))) else nullcontext():
            for batch in batches:
                total += self._loss(plain, batch, inputs, record, step)
        return total

    def _loss(
        self,
        model: torch.nn.Module,
        batch: Batch,
        inputs: StepBatch,
        record: StepRecord,
        step: int,
    ) -> Tensor:
        args, weights = self._args, inputs.weights
        scores = self._score(batch, args.loss_temperature, model, weights.returns_NT is not None)
        reference_BT = self._reference_logps(batch)
        # The mean over the step's completions; masked ones count as 0.
        cap, clip = args.importance_sampling_cap, args.weight_clip
        loss = micro_batch_loss(
            batch,
            scores,
            self._objective,
            weights,
            record,
            cap,
            reference_BT,
            clip,
            inputs.old_logps_NT,
            inputs.engine_logps_N,
        )
        loss = loss / inputs.divisor
        if not torch.isfinite(loss):
            raise NonFiniteError(non_finite_message("loss", step, args.output_dir))
        if args.num_iterations > 1 and not inputs.updates:
            inputs.note_logps(batch, scores)
        if self._auxiliary.value_head is not None and weights.returns_NT is not None:
            self._auxiliary.value_head.learn(batch, scores, weights.returns_NT)
        return loss

    def _reference_logps(self, batch: Batch) -> Tensor | None:
        """Where the loss itself refers to the model before training."""
        reference = self._auxiliary.reference
        if reference is None or "reference" not in self._objective.loss_needs:
            return None
        return reference(batch, self._args.loss_temperature)

    def _without_light_rows(self, inputs: StepBatch, record: StepRecord) -> Sequence[Batch]:
        rows = [row for batch in inputs.micro_batches for row in batch.rows]
        kept = rows_that_weigh(inputs.groups, record, rows, self._args.skip_weight_below)
        # Where nothing weighs, e.g. all are masked, the gradient is 0 and not missing.
        return self._cut(kept) if kept else inputs.micro_batches
