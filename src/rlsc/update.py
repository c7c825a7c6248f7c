"""The arithmetic of one optimizer step: score completions, weigh them, make the loss.

No Trainer here. Shapes: _N the step's completions, _B rows of a micro-batch, _T its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.batching import Row, make_rows, pad
from rlsc.grading import answer_key, extract_answer
from rlsc.metrics import StepRecord
from rlsc.objectives import Objective, Rows
from rlsc.scoring import Batch
from rlsc.types import CompletionGroup

Score = Callable[[Batch], tuple[Tensor, Tensor]]
"""A micro-batch's token log-probs and entropies, both [B, T]."""


@dataclass
class StepBatch:
    """One optimizer step's work."""

    groups: list[CompletionGroup]
    micro_batches: Sequence[Batch]

    @property
    def size(self) -> int:
        """The number of completions, N."""
        return sum(len(group.completions) for group in self.groups)


@dataclass(frozen=True)
class SiblingView:
    """What is known of each completion before its loss: `None` where no objective asked."""

    kept_N: Tensor
    agreement_N: Tensor | None
    logsumexp_N: Tensor | None
    engine_logps_N: Tensor | None = None
    """Where importance weights are asked for: log q(y|x) of the engine that sampled."""

    @classmethod
    def of(
        cls,
        batch: StepBatch,
        objective: Objective,
        mask_truncated: bool,
        score: Score,
        correct_engine: bool = False,
    ) -> SiblingView:
        completions = [one for group in batch.groups for one in group.completions]
        return cls(
            torch.tensor(
                [not (mask_truncated and one.finish_reason == "length") for one in completions]
            ),
            answer_agreement(batch.groups) if objective.needs_answers else None,
            _siblings_logsumexp(batch, score) if objective.needs_sibling_logps else None,
            _sums([one.logps for one in completions]) if correct_engine else None,
        )


def micro_batch_loss(
    batch: Batch,
    scores: tuple[Tensor, Tensor],
    objective: Objective,
    view: SiblingView,
    record: StepRecord,
    cap: float = math.inf,
) -> Tensor:
    """Sum over the micro-batch's completions of their losses; fills their part of `record`.

    With `view.engine_logps_N` each is weighted by p(y|x) / q(y|x), at most `cap`: samples from
    the engine's distribution q then stand for the policy's own, but for what the cap cuts off.
    """
    logps_BT, entropies_BT = scores
    mask_BT = batch.completion_mask_BT.to(logps_BT.device)
    # Merged rows are identical, so any member speaks for all.
    first_B = torch.tensor([row.members[0] for row in batch.rows])

    def pick(values_N: Tensor | None) -> Tensor | None:
        return None if values_N is None else values_N[first_B].to(logps_BT)

    row_loss = objective.loss(
        Rows(logps_BT, mask_BT, pick(view.logsumexp_N), pick(view.agreement_N))
    )
    kept_B = view.kept_N[first_B].bool()
    record.fill(
        [row.members for row in batch.rows],
        logps_N=logps_BT.detach().sum(-1),
        log_confidence_N=row_loss.log_confidence_B,
        log_weight_N=row_loss.log_weight_B.masked_fill(~kept_B.to(mask_BT.device), -torch.inf),
        entropy_sum_N=entropies_BT.sum(-1),
        lengths_N=mask_BT.sum(-1),
    )
    counts_B = (batch.counts_B * kept_B).to(row_loss.loss_B)
    engine_logps_B = pick(view.engine_logps_N)
    if engine_logps_B is not None:
        counts_B = counts_B * (logps_BT.detach().sum(-1) - engine_logps_B).exp().clamp(max=cap)
    return (counts_B * row_loss.loss_B).sum()


def _sums(logps: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor([math.fsum(one) for one in logps], dtype=torch.float64)


@torch.no_grad()
def engine_mismatch(groups: Sequence[CompletionGroup], score: Score) -> float:
    """Mean |log q − log p| in nats a token, over completions that an engine q has sampled."""
    completions = [one for group in groups for one in group.completions]
    logps_BT, _ = score(pad(make_rows(groups, merge_duplicates=False)))
    differences = [
        (logps_T[: len(one.logps)].cpu() - torch.tensor(one.logps)).abs()
        for logps_T, one in zip(logps_BT, completions, strict=True)
    ]
    return torch.cat(differences).mean().item()


def rows_that_weigh(
    groups: Sequence[CompletionGroup], record: StepRecord, rows: Sequence[Row], share: float
) -> list[Row]:
    """The rows of at least `share` of their group's largest weight.

    The others' part of the gradient is Σ w ∇log p over them; so what leaving them out changes is
    at most `share` · Σ (the group's largest w) · |∇log p|, over the same rows.
    """
    sizes = [len(group.completions) for group in groups]
    parts = record.log_weight_N.split(sizes)
    largest_N = torch.cat([part.max().expand(len(part)) for part in parts])
    keep_N = record.log_weight_N >= largest_N + math.log(share)
    keep_N &= record.log_weight_N > -math.inf
    return [row for row in rows if keep_N[row.members[0]]]


def answer_agreement(groups: Sequence[CompletionGroup]) -> Tensor:
    """For each completion the share of its other siblings with the same answer; [N]."""
    shares: list[float] = []
    for group in groups:
        answers = [extract_answer(completion.text) for completion in group.completions]
        keys = [None if answer is None else answer_key(answer) for answer in answers]
        others = len(keys) - 1
        shares += [0.0 if key is None else (keys.count(key) - 1) / others for key in keys]
    return torch.tensor(shares, dtype=torch.float64)


@torch.no_grad()
def _siblings_logsumexp(batch: StepBatch, score: Score) -> Tensor:
    """log Σ_k p(y_k|x) for each completion; [N].

    A forward of its own, since siblings may lie in different micro-batches.
    """
    logps_N = torch.zeros(batch.size, dtype=torch.float64)
    for micro_batch in batch.micro_batches:
        logps_BT, _ = score(micro_batch)
        for row, value in zip(micro_batch.rows, logps_BT.sum(-1).tolist(), strict=True):
            logps_N[list(row.members)] = value
    sizes = [len(group.completions) for group in batch.groups]
    return torch.cat([part.logsumexp(0).expand(len(part)) for part in logps_N.split(sizes)])
