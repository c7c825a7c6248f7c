"""The divergence from the model before training: a brake on any objective."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rlsc.objectives.base import LossInputs, Objective, RunSettings, SequenceLoss
from rlsc.objectives.policy_gradient import check_divergence, divergence


@dataclass(frozen=True)
class KL(Objective):
    """loss(y) = Σ_t (r_t − log r_t − 1),  r_t = p_ref(y_t) / p_θ(y_t): the k3 estimator.

    Its mean over p_θ's completions is that of KL(p_θ ‖ p_ref), summed over tokens; its gradient
    is that of KL(p_ref ‖ p_θ) at the tokens' places, which vanishes at the same policy. As a part
    of a sum, `--objective rlsc,kl --objective_weights 1,0.05`, or by `--beta 0.05`.

    Left out: how the places that are visited change with the policy (arXiv 2402.03300 has the
    same).
    """

    loss_needs = frozenset({"reference"})

    def check(self, run: RunSettings) -> None:
        super().check(run)
        check_divergence(run)

    def loss(self, rows: LossInputs) -> SequenceLoss:
        loss_BT = divergence(rows.logps_BT, rows.reference_logps_BT)
        loss_B = loss_BT.masked_fill(~rows.mask_BT, 0.0).sum(-1)
        nothing_B = torch.full_like(loss_B.detach(), -torch.inf)  # no weight on the likelihood
        return SequenceLoss(loss_B, nothing_B, torch.zeros_like(nothing_B), nothing_B)
