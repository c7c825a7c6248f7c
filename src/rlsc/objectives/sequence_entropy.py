"""EM-RL-sequence: be sure of what you said."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.self_certainty import mean_over_tokens


@dataclass(frozen=True)
class SequenceEntropy(PolicyGradient):
    """r(y) = mean_t log p_θ(y_t | x, y_<t), an estimate of minus the entropy. arXiv 2505.15134.

    Left out: the sum over tokens instead of the mean, which rewards being short.
    """

    weights_need = frozenset({"scores"})

    def reward(self, pool: PoolView) -> Tensor:
        return mean_over_tokens(pool.logps_KT, pool)
