"""Intuitor: be far from uniform."""

from __future__ import annotations

from collections.abc import Collection
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

    @property
    def needs(self) -> Collection[str]:
        return {"scores", *super().needs}

    def reward(self, siblings: PoolView) -> Tensor:
        assert siblings.self_certainty_KT is not None
        return mean_over_tokens(siblings.self_certainty_KT, siblings)


def mean_over_tokens(values_KT: Tensor, siblings: PoolView) -> Tensor:
    """Mean over each completion's own tokens, [K]; `values_KT` is 0 outside."""
    assert siblings.mask_KT is not None
    return values_KT.sum(-1) / siblings.mask_KT.sum(-1)
