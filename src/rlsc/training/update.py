"""The arithmetic of one optimizer step: score completions, weigh them, make the loss.

No Trainer here. Shapes: _N the step's completions, _B rows of a micro-batch, _T its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import ScoredSequence, make_rows, pad
from rlsc.logprobs.scorer import Batch, TokenStats
from rlsc.objectives import LossInputs, Objective, SequenceLoss, parts_of
from rlsc.runtime.processes import gathered
from rlsc.training.metrics import StepRecord
from rlsc.training.weighing import Advantages, Score
from rlsc.types import CompletionGroup


def _old_logps(old_logps_NT: Tensor | None, first_B: Tensor, logps_BT: Tensor) -> Tensor:
    """Those of the first update on these completions; during it, the present ones."""
    if old_logps_NT is None:
        return logps_BT.detach()
    return old_logps_NT[first_B, : logps_BT.shape[1]].to(logps_BT)


@dataclass
class StepBatch:
    """One optimizer step's work, of this process."""

    groups: Sequence[CompletionGroup]
    micro_batches: Sequence[Batch]
    weights: Advantages
    idle: Sequence[Batch] = ()
    """Rows that weigh nothing: scored for the records, without a backward pass."""
    divisor: float = 0.0
    """What the sum of the losses is divided by: the step's completions, per process. By default
    those of this one."""
    updates: int = 0
    """How many have been made with it."""
    engine_logps_N: Tensor | None = None
    """Where importance weights are asked for: log q(y|x) of the engine that sampled."""
    noted_NT: Tensor | None = None
    """The log-probs of the first of several updates, while it goes on."""
    old_logps_NT: Tensor | None = None
    """Those, from the second update on; where the model before training sampled, its own."""
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.divisor = self.divisor or self.size
        self.old_logps_NT = self.weights.sampler_logps_NT
        self.metrics |= self.weights.metrics

    def note_logps(self, batch: Batch, scores: TokenStats) -> None:
        """At the first of several updates: its log-probs, for the ratios of the later ones."""
        if self.old_logps_NT is not None:  # another policy has sampled: its own count
            return
        noted_NT = self.noted_NT
        if noted_NT is None:
            longest = max(len(c.token_ids) for group in self.groups for c in group.completions)
            noted_NT = self.noted_NT = torch.zeros(self.size, longest, dtype=torch.float64)
        logps_BT = scores.logps_BT.detach().to(noted_NT)
        for row, logps_T in zip(batch.rows, logps_BT, strict=True):
            noted_NT[list(row.members), : len(logps_T)] = logps_T

    def updated(self) -> None:
        """From the second update on, ratios refer to what the first has noted."""
        self.updates += 1
        self.metrics.pop("sample_seconds", None)  # later updates sample nothing
        if self.noted_NT is not None:
            self.old_logps_NT = self.noted_NT

    @property
    def size(self) -> int:
        """The number of completions, N."""
        return sum(len(group.completions) for group in self.groups)


def of_all_processes(
    inputs: StepBatch, record: StepRecord
) -> tuple[list[CompletionGroup], StepRecord, Tensor, dict[str, float]]:
    """The step's groups, record, kept completions and metrics, over all processes.

    In order of rank, which is the order that one process would have them in. Metrics are means
    over questions, so each process counts by how many it has.
    """
    weights = inputs.weights
    parts = gathered((list(inputs.groups), record, weights.kept_N, inputs.metrics))
    if len(parts) == 1:
        return parts[0]
    groups = [group for part in parts for group in part[0]]
    names = [one.name for one in fields(StepRecord)]
    whole = StepRecord(*(torch.cat([getattr(part[1], name) for part in parts]) for name in names))
    # `zero_weight` is left out where it is 0; a process without questions has no metrics.
    metrics = {
        name: math.fsum(len(part[0]) * part[3].get(name, 0.0) for part in parts if part[0])
        / len(groups)
        for name in dict.fromkeys(name for part in parts for name in part[3])
    }
    return groups, whole, torch.cat([part[2] for part in parts]), metrics


def micro_batch_loss(
    batch: Batch,
    scores: TokenStats,
    objective: Objective,
    weights: Advantages,
    record: StepRecord,
    cap: float = math.inf,
    reference_logps_BT: Tensor | None = None,
    weight_clip: float | None = None,
    old_logps_NT: Tensor | None = None,
    engine_logps_N: Tensor | None = None,
) -> Tensor:
    """Sum over the micro-batch's completions of their losses; fills their part of `record`.

    With `engine_logps_N` each is weighted by p_old(y|x) / q(y|x), at most `cap`: samples
    from the engine's distribution q then stand for the policy's own, but for what the cap cuts off.
    """
    logps_BT = scores.logps_BT
    if old_logps_NT is None:
        old_logps_NT = weights.sampler_logps_NT
    mask_BT = batch.completion_mask_BT.to(logps_BT.device)
    # Merged rows are identical, so any member speaks for all.
    first_B = torch.tensor([row.members[0] for row in batch.rows])
    old_BT = _old_logps(old_logps_NT, first_B, logps_BT)
    sequence_loss = _row_loss(
        objective, weights, first_B, scores, mask_BT, old_BT, reference_logps_BT, weight_clip
    )
    kept_B = weights.kept_N[first_B].bool()
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
        counts_B = counts_B * (old_BT.sum(-1) - engine_logps_B).exp().clamp(max=cap)
    return (counts_B * sequence_loss.loss_B).sum()


def _row_loss(
    objective: Objective,
    weights: Advantages,
    first_B: Tensor,
    scores: TokenStats,
    mask_BT: Tensor,
    old_BT: Tensor,
    reference_logps_BT: Tensor | None,
    weight_clip: float | None,
) -> SequenceLoss:
    """The objective's loss of each row; of a sum of objectives, the sum."""
    logps_BT, columns = scores.logps_BT, mask_BT.shape[1]
    found: list[tuple[SequenceLoss, float]] = []
    for (one, coefficient), weights_N in zip(parts_of(objective), weights.parts, strict=True):
        weights_BT = weights_N[first_B][:, :columns].to(logps_BT)
        if weight_clip is not None:
            weights_BT = weights_BT.clamp(-weight_clip, weight_clip)
        rows = LossInputs(
            logps_BT,
            mask_BT,
            weights_BT,
            scores.entropies_BT,
            old_BT,
            reference_logps_BT if "reference" in one.loss_needs else None,
            weight_clip,
            type(one).__name__,
        )
        found.append((one.loss(rows), coefficient))
    if len(found) == 1:
        return found[0][0]
    weight_B = sum(c * one.sign_B * one.log_weight_B.exp() for one, c in found)
    assert isinstance(weight_B, Tensor)
    loss_B = torch.stack([c * one.loss_B for one, c in found]).sum(0)
    return SequenceLoss(loss_B, weight_B.abs().log(), weight_B.sign(), weight_B.abs().log())


def split_unalike(rows: Sequence[ScoredSequence], weights: Advantages) -> list[ScoredSequence]:
    """Rows of identical completions, taken apart where their weights differ."""
    result: list[ScoredSequence] = []
    for row in rows:
        alike = weights.alike(row.members)
        parts = [row.members] if alike else [(member,) for member in row.members]
        result += [ScoredSequence(row.prompt_ids, row.completion_ids, members) for members in parts]
    return result


def without_idle(
    rows: Sequence[ScoredSequence], weights: Advantages
) -> tuple[list[ScoredSequence], list[ScoredSequence]]:
    """Rows that weigh something in some part of the objective, and the others.

    Where none does, all count as the first: then the gradient is 0 and not missing.
    """
    idle = [all(not bool(part[row.members[0]].any()) for part in weights.parts) for row in rows]
    if all(idle):
        return list(rows), []
    weighty = [row for row, one in zip(rows, idle, strict=True) if not one]
    return weighty, [row for row, one in zip(rows, idle, strict=True) if one]


def first_of_each(
    groups: Sequence[CompletionGroup], weights: Advantages, count: int
) -> tuple[Sequence[CompletionGroup], Advantages]:
    """The first `count` completions of each question, with the weights that all have voted on."""
    places: list[int] = []
    start = 0
    for group in groups:
        places += range(start, start + min(count, len(group.completions)))
        start += len(group.completions)
    kept = [CompletionGroup(group.prompt, group.completions[:count]) for group in groups]
    return kept, weights.select(torch.tensor(places))


def summed_logps(groups: Sequence[CompletionGroup]) -> Tensor:
    """log q(y|x) of each completion under the engine that sampled it, [N]."""
    completions = [one for group in groups for one in group.completions]
    return _sums([one.logps for one in completions])


def _sums(logps: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor([math.fsum(one) for one in logps], dtype=torch.float64)


@torch.no_grad()
def engine_mismatch(groups: Sequence[CompletionGroup], score: Score) -> float:
    """Mean |log q − log p| in nats a token, over completions that an engine q has sampled."""
    completions = [one for group in groups for one in group.completions]
    logps_BT = score(pad(make_rows(groups, merge_duplicates=False))).logps_BT
    differences = [
        (logps_T[: len(one.logps)].cpu() - torch.tensor(one.logps)).abs()
        for logps_T, one in zip(logps_BT, completions, strict=True)
    ]
    return torch.cat(differences).mean().item()


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
