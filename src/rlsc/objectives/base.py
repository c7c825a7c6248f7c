"""The contract of an objective. Shapes: _B rows of a micro-batch, _T completion tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """What an objective sees of the completions of a micro-batch.

    The sibling fields are filled only for objectives that ask for them.
    """

    logps_BT: Tensor
    """log p_θ(y_t | x, y_<t), nats, with gradient; 0 outside the completion."""
    mask_BT: Tensor
    """True on the completion's tokens, its stop token included."""
    siblings_logsumexp_B: Tensor | None = None
    """log Σ_k p(y_k | x) over the K siblings of the row's question, detached."""
    agreement_B: Tensor | None = None
    """Share of the K − 1 other siblings with the row's answer; 0 where it has none."""


@dataclass(frozen=True)
class RowLoss:
    """One loss and one weight per row; the trainer sums and normalises them."""

    loss_B: Tensor
    """The row's loss, with gradient."""
    log_confidence_B: Tensor
    """log of the confidence weight, without α; float32 (float64 for float64 log-probs)."""
    log_weight_B: Tensor
    """log of the weight that multiplies the log-likelihood, α included."""


class Objective(Protocol):
    """A loss over completions, one row at a time."""

    @property
    def needs_sibling_logps(self) -> bool:
        """Whether `Rows.siblings_logsumexp_B` must be filled: costs a no-grad forward."""

    @property
    def needs_answers(self) -> bool:
        """Whether `Rows.agreement_B` must be filled: extracts an answer from each text."""

    def loss(self, rows: Rows) -> RowLoss:
        """Loss of each row; weight and gradient come from the one forward behind `rows`."""
