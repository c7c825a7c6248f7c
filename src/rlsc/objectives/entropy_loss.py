"""EM-FT, one-shot entropy minimisation: entropy itself is the loss."""

from __future__ import annotations

from dataclasses import dataclass

from rlsc.objectives.base import LossInputs, Objective, SequenceLoss, sequence_loss


@dataclass(frozen=True)
class EntropyLoss(Objective):
    """loss(y) = mean_t H(p_θ(· | x, y_<t)), differentiated directly. arXiv 2505.15134, 2505.20282.

    The completion is a constant: how the prefixes come about has no gradient.

    Left out: the choice of a single question by the variance of its accuracy, which needs labels.
    """

    loss_needs = frozenset({"entropy_gradient"})

    def loss(self, rows: LossInputs) -> SequenceLoss:
        inside_BT = rows.entropies_BT.masked_fill(~rows.mask_BT, 0.0)
        loss_B = inside_BT.sum(-1) / rows.mask_BT.sum(-1).clamp(min=1)
        return sequence_loss(loss_B, rows)
