"""The paper's general loss, L(p_old, p_θ), with a function of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.errors import ConfigError
from rlsc.objectives.base import LossInputs, Objective, SequenceLoss


@dataclass(frozen=True)
class General(Objective):
    """loss(y) = L(log p_old(y|x), log p_θ(y|x)), L any differentiable function. arXiv 2506.06395.

    L takes two tensors [B], the first detached, and returns [B]. Logarithms, since p itself
    underflows. RLSC's L1 is ``lambda old, new: -old.exp() * new``; the paper's weight
    1 + log p_old, whose functional is E[log p], is ``lambda old, new: -(1 + old) * new``.

    The weight is −∂L/∂ log p_θ: it is recorded, and `--weight_clip` scales L where it is above.
    """

    function: Callable[[Tensor, Tensor], Tensor]

    def loss(self, rows: LossInputs) -> SequenceLoss:
        old_B, new_B = rows.old_logps_BT.sum(-1), rows.logps_BT.sum(-1)
        with torch.enable_grad():
            here_B = new_B.detach().requires_grad_()
            value = self.function(old_B, here_B).sum()
            if not value.requires_grad:
                raise ConfigError(
                    "the general loss must depend on its second argument, the policy's log-probs"
                )
            (slope_B,) = torch.autograd.grad(value, here_B)
        size_B, loss_B = slope_B.abs(), self.function(old_B, new_B)
        if rows.weight_clip is not None:
            scale_B = (rows.weight_clip / size_B).clamp(max=1.0)
            size_B, loss_B = scale_B * size_B, scale_B * loss_B
        log_weight_B = size_B.log()
        return SequenceLoss(loss_B, log_weight_B, -slope_B.sign(), log_weight_B)
