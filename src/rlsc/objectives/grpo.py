"""GRPO on verifiable rewards (RLVR): the labelled ceiling of the comparison."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from rlsc.objectives.base import PoolView
from rlsc.objectives.semantic_entropy import EntropyScaled


@dataclass(frozen=True)
class GRPO(EntropyScaled):
    """r(y) = 1[the answer is the reference's]. arXiv 2402.03300; needs labels.

    Dr. GRPO (arXiv 2503.20783) is `shaping="centred", loss_type="dr_grpo"`. Several updates on a
    rollout are `num_iterations` of the configuration; the clip acts from the second on. `beta`
    adds the KL divergence to the model before training.

    Left out: a format reward beside the answer's; combine it with `format_only` for that.
    """

    @property
    def weights_need(self) -> Collection[str]:
        return {"labels", *super().weights_need}

    def reward(self, pool: PoolView) -> Tensor:
        return pool.correct_K
