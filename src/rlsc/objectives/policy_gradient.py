"""What all objectives with a reward share: shaping within the group, and GRPO's loss."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import (
    LossInputs,
    Objective,
    PoolView,
    RunSettings,
    SequenceLoss,
    sequence_loss,
)
from rlsc.objectives.shaping import NAMES, RELATIVE, shape


@dataclass(frozen=True, kw_only=True)
class Clipped(Objective):
    """What objectives with the clipped surrogate share: its clip, and the divergence beside it."""

    epsilon: float = setting(0.2, "Clip of the ratio p / p_old, up and down.", least=0, most=1)
    beta: float = setting(
        0.0, "Coefficient of a KL divergence to the model before training, for any.", least=0
    )

    @property
    def loss_needs(self) -> Collection[str]:
        return {"reference"} if self.beta else ()

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        return not self.beta

    def check(self, run: RunSettings) -> None:
        super().check(run)
        if self.beta:
            check_divergence(run)


@dataclass(frozen=True, kw_only=True)
class PolicyGradient(Clipped):
    """loss(y) = −mean_t min(ρ_t A, clip(ρ_t, 1 ± ε) A) + β KL_t,  ρ_t = p_θ(y_t) / p_old(y_t).

    A is the reward, shaped within the siblings (`shaping.py`). GRPO, arXiv 2402.03300. At the
    first update on a rollout ρ = 1, and the gradient is −mean_t A ∇log p_θ(y_t).

    Left out: the separate reward of each step of a solution, and a reference model that moves.
    """

    shaping: str = setting("standardised", "From rewards to weights.", choices=NAMES)
    alpha: float = setting(0.1, "With shaping plus_alpha: added to every reward.", least=0)
    loss_type: str = setting(
        "grpo",
        "grpo: mean over a completion's tokens; dr_grpo: their sum; token_mean: mean over all the "
        "step's tokens.",
        choices=("grpo", "dr_grpo", "token_mean"),
    )
    """The sum is one that a long wrong answer cannot dilute (arXiv 2503.20783; its constant
    divisor is left to the learning rate). `token_mean` is Σ_i Σ_t / Σ_i T_i over the step's
    completions i (DAPO, arXiv 2503.14476)."""

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        # A subclass's own loss may have a gradient where the weight is 0.
        return super().zero_weight_is_zero_gradient and type(self).loss is PolicyGradient.loss

    @property
    def added(self) -> float:
        return self.alpha if self.shaping == "plus_alpha" else math.nan

    @property
    def unread(self) -> Collection[str]:
        return () if self.shaping == "plus_alpha" else ("alpha",)

    @property
    def weighs_by_reward(self) -> bool:
        """Whether its weights are its rewards, shaped: a subclass may weigh otherwise."""
        return type(self).weigh is PolicyGradient.weigh

    def check(self, run: RunSettings) -> None:
        super().check(run)
        own = type(self)
        siblings = "environment" not in self.weights_need  # whose pools may be of other sizes
        if self.weighs_by_reward and self.shaping in RELATIVE and siblings:
            check_siblings(f"objective {own.__name__} with shaping {self.shaping}", run)
        if all(getattr(own, name) is getattr(PolicyGradient, name) for name in _METHODS):
            raise ConfigError(
                f"objective {own.__name__} has neither a reward, nor weigh, nor loss of its own"
            )

    def reward(self, pool: PoolView) -> Tensor:
        """The reward of each completion, [K]."""
        raise NotImplementedError(f"{type(self).__name__} has no reward")

    def shaped(self, rewards_K: Tensor, pool: PoolView) -> Tensor:
        """The weights that these rewards of the pool become."""
        return shape(self.shaping, rewards_K, self.alpha, pool.mask_KT.sum(-1))

    def weights_of(self, rewards_K: Tensor, pool: PoolView) -> Tensor:
        """What a pool's rewards become, [K] or [K, T]: shaped, and whatever a subclass adds."""
        return self.shaped(rewards_K, pool)

    def weigh(self, pool: PoolView) -> Tensor:
        return self.weights_of(self.reward(pool), pool)

    def loss(self, rows: LossInputs) -> SequenceLoss:
        return sequence_loss(clipped_loss(rows, self.epsilon, self.beta, self.loss_type), rows)


_METHODS = ("reward", "weigh", "loss")


def check_siblings(who: str, run: RunSettings) -> None:
    """Raise `ConfigError` where a single completion has nobody to be compared with."""
    if run.num_generations < 2:
        raise ConfigError(f"{who} compares siblings: num_generations must be 2 or more")


def check_divergence(run: RunSettings) -> None:
    """Raise `ConfigError` where a divergence's estimate would be of another model's samples."""
    if run.rollout_policy == "base":
        raise ConfigError(
            "rollout_policy base and a KL divergence exclude each other: its estimate needs "
            "samples of the policy"
        )


def clipped_loss(rows: LossInputs, epsilon: float, beta: float, loss_type: str) -> Tensor:
    """PPO's clipped surrogate (arXiv 1707.06347), and β times a divergence; [B]."""
    ratio_BT = (rows.logps_BT - rows.old_logps_BT).exp()
    clipped_BT = ratio_BT.clamp(1 - epsilon, 1 + epsilon)
    loss_BT = -torch.minimum(ratio_BT * rows.weights_BT, clipped_BT * rows.weights_BT)
    if beta:
        loss_BT = loss_BT + beta * divergence(rows.logps_BT, rows.reference_logps_BT)
    loss_B = loss_BT.masked_fill(~rows.mask_BT, 0.0).sum(-1)
    if loss_type == "token_mean":  # the step divides by its completions
        return loss_B / rows.mean_length
    return loss_B / rows.mask_BT.sum(-1).clamp(min=1) if loss_type == "grpo" else loss_B


def divergence(logps_BT: Tensor, reference_logps_BT: Tensor) -> Tensor:
    """r − log r − 1 with r = p_ref / p_θ: positive, and unbiased for KL(p_θ ‖ p_ref) a token."""
    log_ratio_BT = reference_logps_BT - logps_BT
    return log_ratio_BT.exp() - log_ratio_BT - 1
