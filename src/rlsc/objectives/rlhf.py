"""RLHF: a reward model judges."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.config import setting
from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient


@dataclass(frozen=True)
class RLHF(PolicyGradient):
    """r(y) = the score of a sequence-classification model (`--reward_model`). arXiv 2203.02155.

    The functional is the paper's R(y) → E[R]. `beta` holds the policy near the model before
    training, as RLHF does; it is 0 unless set.

    Left out: training the reward model, and the learned value (`ppo` with `--reward_model`).
    """

    reward_model: str | None = setting(None, "Hub id or folder of a sequence-classification model.")

    weights_need = frozenset({"reward_model"})

    def reward(self, pool: PoolView) -> Tensor:
        return pool.reward_model_K
