"""From a rollout's advantages to gradients: micro-batches, their losses, the backward passes.

Of several processes each has its own micro-batches, perhaps more or fewer than another, or none.
Shapes: _N the step's completions, _B rows of a micro-batch, _T its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rlsc.errors import NonFiniteError
from rlsc.logprobs import Batch, ScoredSequence, Scorer, TokenStats, make_rows
from rlsc.models import RoleAdapters
from rlsc.objectives import LossInputs, Objective, SequenceLoss, parts_of
from rlsc.runtime import count, gathered, in_step, keep_freed_memory, unsharded
from rlsc.training.arguments import RLSCConfig
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.loss_scaling import overflowed
from rlsc.training.metrics import StepRecord
from rlsc.training.progress import StepProgress, non_finite_message
from rlsc.training.weighing import Advantages
from rlsc.types import CompletionGroup

_NO_COMPLETION = (ScoredSequence((0,), (0,), ()),)
"""Two tokens, for the pass of a process that has no micro-batch left."""


@dataclass(frozen=True)
class StepBatch:
    """One optimizer step's work, of this process."""

    groups: Sequence[CompletionGroup]
    advantages: Advantages
    micro_batches: Sequence[Batch]
    divisor: float
    """What the sum of the losses is divided by: the step's completions, per process."""
    weightless: Sequence[Batch] = ()
    """Rows of weight 0: scored for the records, without a backward pass."""
    engine_logps_N: Tensor | None = None
    """Where importance weights are asked for: log q(y|x) of the engine that sampled."""
    mean_length: float = math.nan
    """Tokens a completion, over the completions of all processes."""
    old_logps_NT: Tensor | None = None
    """What ratios refer to, from the second update on these completions: the policy's log-probs at
    the first. None during it, and where the model before training has sampled."""
    adapters_N: Sequence[str] = ()
    """Where roles have adapters: whose each completion is, and its gradient."""

    def adapter_of(self, micro_batch: Batch | None) -> str:
        """Whose a micro-batch is; empty where nobody has one of their own.

        None, a pass without rows, is one of those that the step trains: another adapter has no
        gradient, not even 0, by which weight decay would move it.
        """
        if not self.adapters_N:
            return ""
        return self.adapters_N[0 if micro_batch is None else micro_batch.rows[0].members[0]]

    @property
    def size(self) -> int:
        """The number of completions, N."""
        return sum(len(group.completions) for group in self.groups)


@dataclass(frozen=True)
class Outcome:
    """What the passes over a step's completions came to."""

    loss: Tensor
    """Of this process's completions, as they are divided."""
    record: StepRecord
    logps_NT: Tensor | None = None
    """Where further updates follow on these completions: what their ratios refer to."""
    value_loss: float | None = None
    """With a value head, which has taken its step."""
    overflows: int = 0
    """Under fp16: how often the passes were made again at a smaller scale."""


class Update:
    """Cuts a rollout into micro-batches and fills the model's gradients; the Trainer steps."""

    def __init__(
        self,
        args: RLSCConfig,
        objective: Objective,
        auxiliary: AuxiliaryModels,
        scorer: Scorer,
        adapters: RoleAdapters,
        accelerator: Any,
        progress: StepProgress,
    ) -> None:
        self._adapters = adapters
        self._args, self._objective, self._auxiliary = args, objective, auxiliary
        self._scorer, self._accelerator, self._progress = scorer, accelerator, progress

    def cut(
        self,
        groups: Sequence[CompletionGroup],
        advantages: Advantages,
        adapters: Mapping[str, str] = MappingProxyType({}),
    ) -> StepBatch:
        """The completions that are trained on, as micro-batches, each of one role's adapter.

        `adapters` has the role of each prompt's id, where roles have adapters.
        """
        args = self._args
        if args.train_generations and groups:
            groups, advantages = first_of_each(groups, advantages, args.train_generations)
        lengths = [
            len(completion.token_ids) for group in groups for completion in group.completions
        ]
        everywhere = gathered(lengths)
        size, tokens = sum(map(len, everywhere)), sum(map(sum, everywhere))
        rows = split_unalike(make_rows(groups, args.merge_duplicates), advantages)
        weightless: list[ScoredSequence] = []
        if self._spares():
            rows, weightless = without_weightless(rows, advantages)
        roles = [adapters.get(group.prompt.id, "") for group in groups for _ in group.completions]
        adapters_N = roles if any(roles) else ()
        return StepBatch(
            groups,
            advantages,
            self._cut(rows, adapters_N),
            # A mean over the processes of these sums is the mean over all the step's completions.
            divisor=size / count(),
            mean_length=tokens / size if size else math.nan,
            weightless=self._cut(weightless, adapters_N),
            engine_logps_N=summed_logps(groups) if args.importance_sampling_correction else None,
            adapters_N=adapters_N,
        )

    def _spares(self) -> bool:
        """Whether what weighs nothing is computed without gradient."""
        if not self._objective.zero_weight_is_zero_gradient:
            return False
        if self._args.skip_weight_below:
            return False  # which does so itself, by weights that a first pass fills in
        return self._zero_stage() != 3  # its passes without gradient would need whole weights

    def _zero_stage(self) -> int:
        plugin = getattr(self._accelerator.state, "deepspeed_plugin", None)
        return 0 if plugin is None else plugin.zero_stage

    def _cut(self, rows: Sequence[ScoredSequence], adapters_N: Sequence[str]) -> Sequence[Batch]:
        if not adapters_N:
            return self._scorer.cut(rows)
        by_role: dict[str, list[ScoredSequence]] = {}
        for row in rows:
            by_role.setdefault(adapters_N[row.members[0]], []).append(row)
        return [batch for of_role in by_role.values() for batch in self._scorer.cut(of_role)]

    def backward(self, model: torch.nn.Module, batch: StepBatch, step: int) -> Outcome:
        """The loss and what is known of each completion; gradients are in the model.

        `model` may be wrapped. Raises `NonFiniteError`.
        """
        width = max((len(c.token_ids) for g in batch.groups for c in g.completions), default=0)
        logps_NT = None
        first = batch.old_logps_NT is None and batch.advantages.sampler_logps_NT is None
        if self._args.num_iterations > 1 and first:
            logps_NT = torch.zeros(batch.size, width, dtype=torch.float64)
        outcome = Outcome(torch.zeros(()), StepRecord.empty(batch.size), logps_NT)
        head, message = self._auxiliary.value_head, self._message("gradient", step)
        overflows = 0
        with keep_freed_memory(), self._scorer.attached():
            loss = self._passes(model, batch, outcome, step)
            while overflowed(self._accelerator.scaler, model, message):
                overflows += 1
                if head is not None:
                    head.forget()
                loss = self._passes(model, batch, outcome, step)
        value_loss = None if head is None else head.step()
        return Outcome(loss, outcome.record, logps_NT, value_loss, overflows)

    def _passes(
        self, model: torch.nn.Module, batch: StepBatch, outcome: Outcome, step: int
    ) -> Tensor:
        """Forward and backward over all rows; fills the outcome's record and log-probs."""
        total = torch.zeros((), device=self._args.device)
        micro_batches: Sequence[Batch] = batch.micro_batches
        skips = bool(self._args.skip_weight_below)
        if skips:
            total = total + self._without_gradient(model, micro_batches, batch, outcome, step)
            micro_batches = self._without_light_rows(batch, outcome.record)
        passes = self._padded_with_none(model, micro_batches)
        on_progress = self._progress.updating(len(passes))
        for index, micro_batch in enumerate(passes):
            role = self._adapters.active(batch.adapter_of(micro_batch))
            with self._exchange(model, last=index == len(passes) - 1), role:
                if micro_batch is None:
                    loss = self._zero_loss(model)
                else:
                    loss = self._loss(model, micro_batch, batch, outcome, step)
                self._accelerator.backward(loss)
            if not skips:
                total += loss.detach()
            on_progress(1)
        return total + self._without_gradient(model, batch.weightless, batch, outcome, step)

    def _padded_with_none(
        self, model: torch.nn.Module, micro_batches: Sequence[Batch]
    ) -> list[Batch | None]:
        """The micro-batches, and None where only the other processes have one.

        Sharded weights are gathered in every pass, so that all processes make as many; otherwise
        they meet in the last alone, which all must have.
        """
        mine = len(micro_batches)
        number = max(gathered(mine)) if in_step(model) else max(1, mine)
        return [*repeat(None, number - mine), *micro_batches]

    def _exchange(self, model: torch.nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged with the last pass; sharded ones with each, or all were held."""
        # DeepSpeed exchanges where this says so, and then takes the optimizer's step.
        self._accelerator.gradient_state._set_sync_gradients(last)
        if last or in_step(model):
            return nullcontext()
        context: AbstractContextManager[Any] = self._accelerator.no_sync(model)
        return context

    def _zero_loss(self, model: torch.nn.Module) -> Tensor:
        """A forward pass whose every gradient is 0."""
        (micro_batch,) = self._scorer.cut(_NO_COMPLETION)
        scores = self._scored(micro_batch, model)
        self._reference_logps(micro_batch)  # of an adapter's model: a pass as the others make
        return 0.0 * (scores.logps_BT.sum() + scores.entropies_BT.sum())

    @torch.no_grad()
    def _without_gradient(
        self,
        model: torch.nn.Module,
        micro_batches: Sequence[Batch],
        batch: StepBatch,
        outcome: Outcome,
        step: int,
    ) -> Tensor:
        """By the plain model: a wrapped one may wait for other processes."""
        total = torch.zeros((), device=self._args.device)
        plain = self._accelerator.unwrap_model(model)
        with unsharded(plain) if any(gathered(len(micro_batches))) else nullcontext():
            for micro_batch in micro_batches:
                with self._adapters.active(batch.adapter_of(micro_batch)):
                    total += self._loss(plain, micro_batch, batch, outcome, step)
        return total

    def _loss(
        self,
        model: torch.nn.Module,
        micro_batch: Batch,
        batch: StepBatch,
        outcome: Outcome,
        step: int,
    ) -> Tensor:
        """Its part of the mean over the step's completions, of which masked ones count as 0."""
        args, returns_NT = self._args, batch.advantages.returns_NT
        scores = self._scored(micro_batch, model, states=returns_NT is not None)
        loss = micro_batch_loss(
            micro_batch,
            scores,
            self._objective,
            batch.advantages,
            outcome.record,
            args.importance_sampling_cap,
            self._reference_logps(micro_batch),
            args.weight_clip,
            batch.old_logps_NT,
            batch.engine_logps_N,
            batch.mean_length,
        )
        loss = loss / batch.divisor
        if not torch.isfinite(loss):
            raise NonFiniteError(self._message("loss", step))
        if outcome.logps_NT is not None:
            logps_BT = scores.logps_BT.detach().to(outcome.logps_NT)
            for row, logps_T in zip(micro_batch.rows, logps_BT, strict=True):
                outcome.logps_NT[list(row.members), : len(logps_T)] = logps_T
        if self._auxiliary.value_head is not None and returns_NT is not None:
            self._auxiliary.value_head.learn(micro_batch, scores, returns_NT)
        return loss

    def _message(self, what: str, step: int) -> str:
        return non_finite_message(what, step, self._args.output_dir)

    def _scored(self, batch: Batch, model: torch.nn.Module, states: bool = False) -> TokenStats:
        gradient = "entropy_gradient" in self._objective.loss_needs
        return self._scorer(batch, self._args.loss_temperature, model, gradient, states)

    def _reference_logps(self, batch: Batch) -> Tensor | None:
        """Where the loss itself refers to the model before training."""
        reference = self._auxiliary.reference
        if reference is None or "reference" not in self._objective.loss_needs:
            return None
        return reference(batch, self._args.loss_temperature)

    def _without_light_rows(self, batch: StepBatch, record: StepRecord) -> Sequence[Batch]:
        rows = [row for micro_batch in batch.micro_batches for row in micro_batch.rows]
        kept = rows_that_weigh(batch.groups, record, rows, self._args.skip_weight_below)
        # Where nothing weighs, e.g. all are masked, the gradient is 0 and not missing.
        return self._cut(kept, batch.adapters_N) if kept else batch.micro_batches


def micro_batch_loss(
    batch: Batch,
    scores: TokenStats,
    objective: Objective,
    advantages: Advantages,
    record: StepRecord,
    cap: float = math.inf,
    reference_logps_BT: Tensor | None = None,
    weight_clip: float | None = None,
    old_logps_NT: Tensor | None = None,
    engine_logps_N: Tensor | None = None,
    mean_length: float = math.nan,
) -> Tensor:
    """Sum over the micro-batch's completions of their losses; fills their part of `record`.

    Ratios refer to `old_logps_NT`; by default to the model before training where that has sampled,
    else to the present log-probs. With `engine_logps_N` each loss is weighted by
    p_old(y|x) / q(y|x), at most `cap`: samples from the engine's distribution q then stand for the
    policy's own, but for what the cap cuts off. `mean_length` is of the step's completions, in
    tokens.
    """
    logps_BT = scores.logps_BT
    mask_BT = batch.completion_mask_BT.to(logps_BT.device)
    # Merged rows are identical, so any member speaks for all.
    first_B = torch.tensor([row.members[0] for row in batch.rows])
    old_BT = logps_BT.detach()
    if old_logps_NT is None:
        old_logps_NT = advantages.sampler_logps_NT
    if old_logps_NT is not None:
        old_BT = old_logps_NT[first_B, : logps_BT.shape[1]].to(logps_BT)
    parts = [part_N[first_B] for part_N in advantages.parts]
    sequence_loss = _row_loss(
        objective, parts, scores, mask_BT, old_BT, reference_logps_BT, weight_clip, mean_length
    )
    kept_B = advantages.kept_N[first_B].bool()
    if advantages.answer_NT is not None:
        answer_BT = advantages.answer_NT[first_B, : logps_BT.shape[1]].to(mask_BT.device)
        record.fill_answers(batch, answer_BT, scores.entropies_BT, logps_BT, reference_logps_BT)
    record.fill(
        [row.members for row in batch.rows],
        logps_N=logps_BT.detach().sum(-1),
        log_confidence_N=sequence_loss.log_confidence_B,
        log_weight_N=sequence_loss.log_weight_B.masked_fill(~kept_B.to(mask_BT.device), -torch.inf),
        sign_N=sequence_loss.sign_B,
        entropy_sum_N=scores.entropies_BT.detach().sum(-1),
        lengths_N=mask_BT.sum(-1),
    )
    counts_B = (batch.counts_B * kept_B).to(sequence_loss.loss_B)
    if engine_logps_N is not None:
        engine_logps_B = engine_logps_N[first_B].to(logps_BT)
        ratio_B = (old_BT.sum(-1) - engine_logps_B).exp()
        record.fill([row.members for row in batch.rows], capped_N=ratio_B > cap)
        counts_B = counts_B * ratio_B.clamp(max=cap)
    return (counts_B * sequence_loss.loss_B).sum()


def _row_loss(
    objective: Objective,
    weights: Sequence[Tensor],
    scores: TokenStats,
    mask_BT: Tensor,
    old_logps_BT: Tensor,
    reference_logps_BT: Tensor | None,
    weight_clip: float | None,
    mean_length: float,
) -> SequenceLoss:
    """The objective's loss of each row; of a sum of objectives, the sum."""
    logps_BT, columns = scores.logps_BT, mask_BT.shape[1]
    losses: list[tuple[SequenceLoss, float]] = []
    for (part, coefficient), part_B in zip(parts_of(objective), weights, strict=True):
        weights_BT = part_B[:, :columns].to(logps_BT)
        if weight_clip is not None:
            weights_BT = weights_BT.clamp(-weight_clip, weight_clip)
        inputs = LossInputs(
            logps_BT,
            mask_BT,
            weights_BT,
            scores.entropies_BT,
            old_logps_BT,
            reference_logps_BT if "reference" in part.loss_needs else None,
            weight_clip,
            type(part).__name__,
            mean_length,
        )
        losses.append((part.loss(inputs), coefficient))
    if len(losses) == 1:
        return losses[0][0]
    weight_B = torch.stack([c * of.sign_B * of.log_weight_B.exp() for of, c in losses]).sum(0)
    loss_B = torch.stack([c * of.loss_B for of, c in losses]).sum(0)
    return SequenceLoss(loss_B, weight_B.abs().log(), weight_B.sign(), weight_B.abs().log())


def split_unalike(rows: Sequence[ScoredSequence], advantages: Advantages) -> list[ScoredSequence]:
    """Rows of identical completions, taken apart where their weights differ."""
    result: list[ScoredSequence] = []
    for row in rows:
        alike = advantages.alike(row.members)
        parts = [row.members] if alike else [(member,) for member in row.members]
        result += [ScoredSequence(row.prompt_ids, row.completion_ids, members) for members in parts]
    return result


def without_weightless(
    rows: Sequence[ScoredSequence], advantages: Advantages
) -> tuple[list[ScoredSequence], list[ScoredSequence]]:
    """Rows that weigh something in some part of the objective, and the others.

    Where none does, all count as the first: then the gradient is 0 and not missing.
    """
    heavy = [any(bool(part[row.members[0]].any()) for part in advantages.parts) for row in rows]
    if not any(heavy):
        return list(rows), []
    pairs = list(zip(rows, heavy, strict=True))
    return [row for row, weighs in pairs if weighs], [row for row, weighs in pairs if not weighs]


def first_of_each(
    groups: Sequence[CompletionGroup], advantages: Advantages, number: int
) -> tuple[list[CompletionGroup], Advantages]:
    """The first `number` completions of each question, with the weights that all have voted on."""
    places: list[int] = []
    start = 0
    for group in groups:
        places += range(start, start + min(number, len(group.completions)))
        start += len(group.completions)
    kept = [CompletionGroup(group.prompt, group.completions[:number]) for group in groups]
    return kept, advantages.select(torch.tensor(places))


def summed_logps(groups: Sequence[CompletionGroup]) -> Tensor:
    """log q(y|x) of each completion under the engine that sampled it, [N]."""
    logps = [math.fsum(c.logps) for group in groups for c in group.completions]
    return torch.tensor(logps, dtype=torch.float64)


def rows_that_weigh(
    groups: Sequence[CompletionGroup],
    record: StepRecord,
    rows: Sequence[ScoredSequence],
    share: float,
) -> list[ScoredSequence]:
    """The rows of at least `share` of their group's largest weight.

    The others' part of the gradient is Σ w ∇log p over them; so what leaving them out changes is
    at most `share` · Σ (the group's largest w) · |∇log p|, over the same rows.
    """
    if not groups:
        return []
    sizes = [len(group.completions) for group in groups]
    parts = record.log_weight_N.split(sizes)
    largest_N = torch.cat([part.max().expand(len(part)) for part in parts])
    keep_N = record.log_weight_N >= largest_N + math.log(share)
    keep_N &= record.log_weight_N > -math.inf
    return [row for row in rows if keep_N[row.members[0]]]
