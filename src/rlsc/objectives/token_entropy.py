"""RENT, EM-RL-token: be sure of every token."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.self_certainty import mean_over_tokens


@dataclass(frozen=True)
class TokenEntropy(PolicyGradient):
    """r(y) = −mean_t H(p_θ(· | x, y_<t)). arXiv 2505.22660 (RENT), 2505.15134 (EM-RL-token).

    The entropy is a reward here: its own gradient is left out (`entropy_loss` has it alone).

    Left out: RENT's choice of which tokens count; all do. EM-RL-token's sum over tokens instead of
    the mean, which rewards being short.
    """

    weights_need = frozenset({"scores"})

    def reward(self, pool: PoolView) -> Tensor:
        return -mean_over_tokens(pool.entropies_KT, pool)
