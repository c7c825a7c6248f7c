"""PPO: the clipped objective with a learned value and generalised advantages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import LossInputs, PoolView, RunSettings, SequenceLoss, sequence_loss
from rlsc.objectives.policy_gradient import Clipped, clipped_loss


@dataclass(frozen=True)
class PPO(Clipped):
    """loss(y) = −Σ_t min(ρ_t A_t, clip(ρ_t, 1 ± ε) A_t),  A by GAE. arXiv 1707.06347, 1506.02438.

    The reward, 1 for a right answer or a reward model's score, comes with the last token, and
    A_t = Σ_l (γλ)^l δ_{t+l}, δ_t = r_t + γ V_{t+1} − V_t. V is a linear head on the policy's last
    hidden states, trained by squared error towards A_t + V_t with an optimizer of its own
    (`value_head.py`). Advantages are not standardised.

    Left out: the value's gradient into the policy's layers, its clip, and an entropy bonus.
    """

    reward_model: str | None = setting(None, "Hub id or folder of a sequence-classification model.")
    gae_gamma: float = setting(1.0, "Discount.", least=0, most=1)
    gae_lambda: float = setting(0.95, "GAE's λ.", least=0, most=1)
    value_learning_rate: float = setting(1e-3, "AdamW's rate for the value head.", least=0)

    @property
    def weights_need(self) -> Collection[str]:
        return {"values", "reward_model" if self.reward_model else "labels"}

    def check(self, run: RunSettings) -> None:
        super().check(run)
        if run.rollout_policy == "base":
            raise ConfigError("rollout_policy base is not for ppo: its values are the policy's")

    def weigh(self, pool: PoolView) -> Tensor:
        rewards_K = pool.reward_model_K if self.reward_model else pool.correct_K
        return advantages(rewards_K, pool.values_KT, pool.mask_KT, self.gae_gamma, self.gae_lambda)

    def loss(self, rows: LossInputs) -> SequenceLoss:
        return sequence_loss(clipped_loss(rows, self.epsilon, self.beta, "dr_grpo"), rows)


def advantages(
    rewards_K: Tensor, values_KT: Tensor, mask_KT: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalised advantages of each token, [K, T], 0 outside; after the last token V is 0."""
    result_KT = torch.zeros_like(values_KT)
    ends_K = mask_KT.sum(-1) - 1
    running_K = torch.zeros_like(rewards_K)
    following_K = torch.zeros_like(rewards_K)  # the value of the next state
    for t in reversed(range(mask_KT.shape[1])):
        inside_K = mask_KT[:, t]
        reward_K = torch.where(ends_K == t, rewards_K, torch.zeros_like(rewards_K))
        delta_K = reward_K + gamma * following_K - values_KT[:, t]
        running_K = torch.where(inside_K, delta_K + gamma * lam * running_K, running_K)
        result_KT[:, t] = torch.where(inside_K, running_K, torch.zeros_like(running_K))
        following_K = torch.where(inside_K, values_KT[:, t], following_K)
    return result_KT
