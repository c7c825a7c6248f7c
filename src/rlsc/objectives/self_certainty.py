"""Intuitor: be far from uniform."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient


@dataclass(frozen=True)
class SelfCertainty(PolicyGradient):
    """r(y) = mean_t KL(U ‖ p_θ(· | x, y_<t)), U uniform over the vocabulary. arXiv 2505.19590.

    p_θ is the current policy at the loss's temperature.

    Left out: the paper's ablation with the base model as a fixed judge.
    """

    weights_need = frozenset({"scores"})

    def reward(self, pool: PoolView) -> Tensor:
        return mean_over_tokens(pool.self_certainty_KT, pool)


def mean_over_tokens(values_KT: Tensor, pool: PoolView) -> Tensor:
    """Mean over each completion's own tokens, [K]; `values_KT` is 0 outside."""
    return values_KT.sum(-1) / pool.mask_KT.sum(-1)
