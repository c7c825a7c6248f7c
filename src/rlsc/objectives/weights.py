"""Confidence weights, as logarithms: p(y|x) of a long completion underflows, its log does not.

Each function maps detached log-probs to log-weights: [B, 1] for one weight per completion,
[B, T] for one per token. Nothing is exponentiated here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rlsc.objectives.base import Rows

LogWeight = Callable[[Tensor, Rows], Tensor]


def sequence(logps_BT: Tensor, rows: Rows) -> Tensor:
    """p(y|x) = Π_t p(y_t): the paper's weight."""
    return logps_BT.sum(-1, keepdim=True)


def length_normalized(logps_BT: Tensor, rows: Rows) -> Tensor:
    """exp of the mean token log-prob: the geometric mean of the token probabilities."""
    lengths_B1 = rows.mask_BT.sum(-1, keepdim=True).clamp(min=1)
    return logps_BT.sum(-1, keepdim=True) / lengths_B1


def token(logps_BT: Tensor, rows: Rows) -> Tensor:
    """Each token by its own probability p(y_t | x, y_<t)."""
    return logps_BT


def group_softmax(logps_BT: Tensor, rows: Rows) -> Tensor:
    """p(y|x) / Σ_k p(y_k|x): the softmax of log p over the siblings; they sum to 1."""
    assert rows.siblings_logsumexp_B is not None
    return logps_BT.sum(-1, keepdim=True) - rows.siblings_logsumexp_B[:, None]


def answer(logps_BT: Tensor, rows: Rows) -> Tensor:
    """The share of the *other* siblings with the same answer.

    It estimates p(a|x) = Σ_{y→a} p(y|x) without exponentials and, leaving the row itself out,
    without bias. A completion without an answer agrees with nobody.
    """
    assert rows.agreement_B is not None
    return rows.agreement_B.to(logps_BT).log()[:, None]


def constant(logps_BT: Tensor, rows: Rows) -> Tensor:
    """No confidence at all: α alone is left (self-SFT, a control)."""
    return torch.full_like(logps_BT[:, :1], -torch.inf)


WEIGHTS: dict[str, LogWeight] = {
    function.__name__: function
    for function in (sequence, length_normalized, token, group_softmax, answer, constant)
}
