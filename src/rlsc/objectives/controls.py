"""Controls: what a method must beat before its reward can be said to have done anything.

"No training, lower temperature" is not here: `rlsc compare` shows the untrained model so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlsc.objectives.base import Objective, PoolView
from rlsc.objectives.policy_gradient import PolicyGradient
from rlsc.objectives.ttrl import majority_cluster


@dataclass(frozen=True)
class Constant(Objective):
    """w(y) = 1: self-training, SFT on its own samples.

    It is RLSC's α term alone. At the sampling temperature its expected gradient is 0, and Adam
    turns the noise into full steps.
    """

    is_control: ClassVar[bool] = True

    def weigh(self, pool: PoolView) -> Tensor:
        return pool.zeros() + 1


@dataclass(frozen=True)
class Random(PolicyGradient):
    """r(y) = 1 or 0 by a fair coin that sees nothing. The spurious reward of arXiv 2506.10947."""

    is_control: ClassVar[bool] = True

    def reward(self, pool: PoolView) -> Tensor:
        generator = torch.Generator().manual_seed(pool.seed)
        return torch.randint(0, 2, (len(pool),), generator=generator).double()


@dataclass(frozen=True)
class FormatOnly(PolicyGradient):
    r"""r(y) = 1 where the text has a \boxed answer, right or wrong. arXiv 2506.10947."""

    is_control: ClassVar[bool] = True

    def reward(self, pool: PoolView) -> Tensor:
        return torch.tensor([float(r"\boxed{" in text) for text in pool.texts]).double()


@dataclass(frozen=True)
class InverseMajority(PolicyGradient):
    """r(y) = 1 where y has an answer that is *not* the majority's.

    After the incorrect rewards of arXiv 2506.10947, which need labels to find a wrong majority.
    """

    is_control: ClassVar[bool] = True

    weights_need = frozenset({"answers"})

    def reward(self, pool: PoolView) -> Tensor:
        winner, _ = majority_cluster(pool)
        return torch.tensor([float(c not in (None, winner)) for c in pool.clusters]).double()
