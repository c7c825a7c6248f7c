"""KL-Cov: hold back the few tokens on which the entropy falls fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import LossInputs, Objective, PoolView, RunSettings, SequenceLoss
from rlsc.objectives.policy_gradient import divergence
from rlsc.runtime import gathered


@dataclass(frozen=True)
class KLCov(Objective):
    """loss(y) = mean_t 1[t ∈ I] (ρ_t − 1 − log ρ_t),  ρ_t = p_θ(y_t) / p_old(y_t).

    KL-Cov, arXiv 2505.22617. I are the `kl_cov_share` of all the step's tokens, one at least, whose
    (A_t − mean A) · (log p_old(y_t) − mean log p_old) is highest, means over the step's tokens: a
    likely token with a high advantage is where a policy gradient lowers the entropy most. A is the
    advantage of the other parts of the sum, added up; tokens that tie with the last are all in I.
    The estimate is unbiased for KL(p_old ‖ p_θ), where the authors' code has |log ρ|. At the first
    update on a rollout ρ = 1 and it is 0, so that it takes `num_iterations` of 2 or more.

    In a sum alone: `--objective ttrl,kl_cov --objective_weights 1,1`.

    Left out: Clip-Cov, which drops the gradient of such tokens; and that the paper leaves these
    tokens' surrogate unclipped.
    """

    in_sums_alone: ClassVar[bool] = True

    kl_cov_share: float = setting(
        0.0002, "Share of the step's tokens that are held back.", above=0, most=1
    )

    weights_need = frozenset({"scores"})

    def check(self, run: RunSettings) -> None:
        super().check(run)
        if run.num_iterations < 2:
            raise ConfigError(
                "kl_cov does nothing at the first update on a rollout: set num_iterations to 2 or "
                "more"
            )
        if run.rollout_policy == "base":
            raise ConfigError("rollout_policy base is not for kl_cov: it refers to the policy's")

    def weigh(self, pool: PoolView) -> Tensor:
        """None yet: `over_step` of the sum knows which tokens count."""
        return torch.zeros_like(pool.logps_KT)

    def chosen(self, advantages_NT: Tensor, logps_NT: Tensor, mask_NT: Tensor) -> Tensor:
        """1 on the tokens of I, [N, T]; N of this process, I of all."""
        inside: Sequence[tuple[list[float], list[float]]] = gathered(
            (advantages_NT[mask_NT].tolist(), logps_NT[mask_NT].tolist())
        )
        all_A, all_logps = (
            torch.tensor([value for part in inside for value in part[side]], dtype=torch.float64)
            for side in (0, 1)
        )
        if not len(all_A):
            return torch.zeros_like(logps_NT)
        mean_A, mean_logp = all_A.mean(), all_logps.mean()
        count = max(1, int(self.kl_cov_share * len(all_A)))
        least = ((all_A - mean_A) * (all_logps - mean_logp)).topk(count).values[-1]
        covariance_NT = (advantages_NT - mean_A) * (logps_NT - mean_logp)
        return ((covariance_NT >= least) & mask_NT).double()

    def loss(self, rows: LossInputs) -> SequenceLoss:
        loss_BT = rows.weights_BT * divergence(rows.old_logps_BT, rows.logps_BT)
        loss_B = loss_BT.masked_fill(~rows.mask_BT, 0.0).sum(-1)
        loss_B = loss_B / rows.mask_BT.sum(-1).clamp(min=1)
        nothing_B = torch.full_like(loss_B.detach(), -torch.inf)  # no weight on the likelihood
        return SequenceLoss(loss_B, nothing_B, torch.zeros_like(nothing_B), nothing_B)
