"""The general loss: what is cut of its weight, and what is refused."""

from __future__ import annotations

import pytest
import torch

from rlsc.errors import ConfigError
from rlsc.objectives import LossInputs
from rlsc.objectives.general import General


def rows(weight_clip: float | None) -> LossInputs:
    logps_BT = torch.tensor([[-0.1, -0.2], [-1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    mask_BT = torch.ones(2, 2, dtype=torch.bool)
    one_B1 = torch.ones(2, 1, dtype=torch.float64)
    detached = logps_BT.detach()
    return LossInputs(logps_BT, mask_BT, one_B1, detached, detached, weight_clip=weight_clip)


def test_the_clip_bounds_the_weight_and_leaves_smaller_ones() -> None:
    """RLSC's L1 as a general loss: the weights are p = exp(−0.3) and exp(−3)."""
    objective = General(lambda old, new: -old.exp() * new)
    for clip, expected in ((None, [-0.3, -3.0]), (0.5, [None, -3.0])):
        given = rows(clip)
        found = objective.loss(given)
        weights = [clip if one is None else torch.tensor(one).exp().item() for one in expected]
        assert found.log_weight_B.exp().tolist() == pytest.approx(weights, rel=1e-6)
        (gradient,) = torch.autograd.grad(found.loss_B.sum(), given.logps_BT)
        assert (-gradient[:, 0]).tolist() == pytest.approx(weights, rel=1e-6)


def test_a_loss_without_the_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="must depend on its second argument"):
        General(lambda old, new: old).loss(rows(None))
