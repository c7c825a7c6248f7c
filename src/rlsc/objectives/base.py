"""The contract of an objective.

First `weigh` gives each of a question's completions a weight (an advantage, a confidence), from
what is known of all its siblings; then `loss` makes a micro-batch's loss of weights and log-probs.
Shapes: _K a question's siblings, _B rows of a micro-batch, _T completion tokens. Units: nats.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.types import Message

NEEDS = ("scores", "reference", "answers", "labels", "reward_model", "values")
"""What an objective may ask for in `needs`; each costs time, and labels cost their being there."""


@dataclass(frozen=True)
class PoolView:
    """A question's K completions before the loss; no gradient. What `needs` leaves out is None."""

    id: str
    prompt: str | Sequence[Message]
    """As the data set has it: text or messages."""
    texts: tuple[str, ...]
    truncated_K: Tensor
    """True where the cap cut a completion off."""
    seed: int
    """Of this question at this step, for objectives that draw."""
    mask_KT: Tensor | None = None
    """With `scores`: True on the completion's tokens."""
    logps_KT: Tensor | None = None
    """With `scores`: log p_θ(y_t | x, y_<t), 0 outside the mask, as the next two."""
    entropies_KT: Tensor | None = None
    """With `scores`: H(p_θ(· | x, y_<t))."""
    self_certainty_KT: Tensor | None = None
    """With `scores`: KL(uniform ‖ p_θ(· | x, y_<t))."""
    values_KT: Tensor | None = None
    """With `values`: the value head's V(x, y_<t)."""
    reference_logps_KT: Tensor | None = None
    """With `reference`: the log-probs of the model before training."""
    answers: tuple[str | None, ...] | None = None
    """With `answers`: the final answer of each text; None where none was found."""
    clusters: tuple[int | None, ...] | None = None
    """With `answers`: equal answers (1/2 and 0.5) have one number, from 0 by first appearance."""
    correct_K: Tensor | None = None
    """With `labels`: 1 where the answer is the reference's, else 0."""
    reward_model_K: Tensor | None = None
    """With `reward_model`: its score of each completion."""

    def __len__(self) -> int:
        return len(self.texts)

    def zeros(self) -> Tensor:
        """A zero for each completion, float64."""
        return torch.zeros(len(self.texts), dtype=torch.float64)


@dataclass(frozen=True)
class LossInputs:
    """What `loss` sees of a micro-batch. Log-probs and entropies have a gradient."""

    logps_BT: Tensor
    """log p_θ(y_t | x, y_<t); 0 outside the completion."""
    mask_BT: Tensor
    """True on the completion's tokens, its stop token included."""
    weights_BT: Tensor
    """What `weigh` gave: [B, 1], or [B, T] for a weight a token. 1 where it gave nothing."""
    entropies_BT: Tensor
    """Entropy of the policy at each token; with a gradient where `entropy_gradient` asks for it."""
    old_logps_BT: Tensor
    """The log-probs at the first update on these completions, detached; then the same as now."""
    reference_logps_BT: Tensor | None = None
    """With `reference`: those of the model before training."""
    weight_clip: float | None = None
    """The largest weight, up or down: of `weights_BT` already; a weight made in `loss` is cut."""


@dataclass(frozen=True)
class SequenceLoss:
    """A loss and what is recorded of its weight, one of each per row; the trainer sums them."""

    loss_B: Tensor
    """The row's loss, with gradient."""
    log_weight_B: Tensor
    """log |w| of the weight that multiplies the log-likelihood; float32 or float64."""
    sign_B: Tensor
    """Its sign."""
    log_confidence_B: Tensor
    """log of the weight before a constant was added to it; else `log_weight_B`."""


class Objective:
    """A loss over completions. Subclasses define `weigh`, `loss`, or both."""

    @property
    def needs(self) -> Collection[str]:
        """Which of `NEEDS` the siblings must have."""
        return set()

    @property
    def entropy_gradient(self) -> bool:
        """Whether `LossInputs.entropies_BT` must have a gradient."""
        return False

    @property
    def added(self) -> float:
        """What is added to every weight; nan where nothing is."""
        return math.nan

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        """Whether a completion of weight 0 has no gradient, so that its backward is spared."""
        return False

    @property
    def loss_refers(self) -> bool:
        """Whether `LossInputs.reference_logps_BT` must be there: with `reference` in `needs`."""
        return "reference" in self.needs

    @property
    def weights_refer(self) -> bool:
        """Whether `PoolView.reference_logps_KT` must be there: the same."""
        return "reference" in self.needs

    def weigh(self, siblings: PoolView) -> Tensor | None:
        """Weights of a question's completions, [K] or [K, T], detached. None: no weights."""
        return None

    def loss(self, rows: LossInputs) -> SequenceLoss:
        """Loss of each row: by default −w · log p_θ(y|x)."""
        return weighted_likelihood(rows)


def weighted_likelihood(rows: LossInputs) -> SequenceLoss:
    """−Σ_t w · log p_θ(y_t | x, y_<t), w constant to the gradient."""
    loss_B = -(rows.weights_BT * rows.logps_BT).sum(-1)
    return sequence_loss(loss_B, rows)


def sequence_loss(loss_B: Tensor, rows: LossInputs) -> SequenceLoss:
    """`loss_B` with the record of `rows.weights_BT`: of a weight a token, the mean."""
    weight_B = rows.weights_BT[:, 0]
    if rows.weights_BT.shape[1] > 1:
        inside_BT = rows.weights_BT.masked_fill(~rows.mask_BT, 0.0)
        weight_B = inside_BT.sum(-1) / rows.mask_BT.sum(-1).clamp(min=1)
    log_weight_B = weight_B.abs().log()
    return SequenceLoss(loss_B, log_weight_B, weight_B.sign(), log_weight_B)
