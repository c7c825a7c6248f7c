"""RLSC: each completion's log-likelihood weighted by the model's own confidence in it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

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
    check_needs,
)
from rlsc.objectives.policy_gradient import check_siblings
from rlsc.objectives.weights import NAMES, NEEDS, OF_SIBLINGS, OF_TOKENS


@dataclass(frozen=True)
class RLSC(Objective):
    """loss(y) = −(w(y) + α) · log p_θ(y|x), with w detached. arXiv 2506.06395, L1 and L2.

    The paper's w is p_θ(y|x) itself (`weight="sequence"`); α = 0 is its L1, α > 0 its L2. The
    paper keeps p_old of the sampling step, which is the current policy: so weight and gradient
    come from one forward, and there is no reference model, reward model or old-log-prob pass.
    In further updates on the same completions w stays p_old's.

    With samples from q and log-probs at the sampling temperature, the expected gradient of L1
    is −½ ∇ Σ_y q(y)², and α adds nothing in expectation (E_q[∇ log q] = 0). With log-probs at
    another temperature, α pulls p_θ towards q.

    Left out: the factor 2 that the exact gradient of Σp² has (the learning rate holds it), and
    any baseline, since the method has none. Weights other than `sequence` are ours: see
    `weights.py`.
    """

    on_a_card: ClassVar[str] = (
        "without labels: each sampled answer's log-likelihood is weighted by the model's own "
        "probability for it ([RLSC](https://arxiv.org/abs/2506.06395))"
    )

    weight: str = setting("sequence", "Confidence that weighs a completion.", choices=NAMES)
    alpha: float = setting(0.1, "Added to every weight (L2); 0 is L1.", least=0)

    @property
    def weights_need(self) -> Collection[str]:
        return NEEDS.get(self.weight, frozenset())

    def check(self, run: RunSettings) -> None:
        check_needs(self)
        if self.weight == "constant" and self.alpha == 0:
            raise ConfigError("weight constant is alpha alone: alpha must be above 0")
        if self.weight == "answer":
            check_siblings("weight answer", run)
        if run.skip_weight_below and self.weight == "token":
            raise ConfigError("skip_weight_below needs one weight a completion, not weight 'token'")

    @property
    def added(self) -> float:
        return self.alpha

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        known = self.alpha == 0 and self.weight in OF_SIBLINGS
        return known and type(self).loss is RLSC.loss  # a user's own may add to it

    def weigh(self, pool: PoolView) -> Tensor | None:
        if self.weight not in OF_SIBLINGS:
            return None  # the row's own log-probs are enough: `loss` has them
        return OF_SIBLINGS[self.weight](pool)

    def loss(self, rows: LossInputs) -> SequenceLoss:
        """Loss of each row; see `SequenceLoss` for shapes."""
        if self.weight in OF_SIBLINGS:
            log_confidence = rows.weights_BT.log()
        else:
            log_confidence = OF_TOKENS[self.weight](rows.old_logps_BT, rows.mask_BT)
        log_alpha = math.log(self.alpha) if self.alpha > 0 else -math.inf
        log_weight = torch.logaddexp(log_confidence, torch.full_like(log_confidence, log_alpha))
        if rows.weight_clip is not None:
            log_weight = log_weight.clamp(max=math.log(rows.weight_clip))
        # [B, 1] weights spread over the tokens; log-probs are 0 outside the mask.
        loss_B = -(log_weight.exp() * rows.logps_BT).sum(-1)
        log_weight_B = _mean_over_tokens(log_weight, rows.mask_BT)
        return SequenceLoss(
            loss_B,
            log_weight_B,
            torch.ones_like(log_weight_B),
            _mean_over_tokens(log_confidence, rows.mask_BT),
        )


def _mean_over_tokens(log_weight: Tensor, mask_BT: Tensor) -> Tensor:
    """One log-weight per row: the log of the mean weight over its tokens."""
    if log_weight.shape[-1] == 1:
        return log_weight[:, 0]
    inside = log_weight.masked_fill(~mask_BT, -torch.inf)
    return inside.logsumexp(-1) - mask_BT.sum(-1).clamp(min=1).log()
