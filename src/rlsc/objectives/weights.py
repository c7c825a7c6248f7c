"""RLSC's confidence weights. p(y|x) of a long completion underflows, its logarithm does not.

`OF_TOKENS` map detached log-probs of a row to log-weights: [B, 1] for one weight per completion,
[B, T] for one per token; nothing is exponentiated there. `OF_SIBLINGS` need the whole group and
give weights, [K].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from rlsc.objectives.base import PoolView


def sequence(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """p(y|x) = Π_t p(y_t): the paper's weight."""
    return logps_BT.sum(-1, keepdim=True)


def length_normalized(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """exp of the mean token log-prob: the geometric mean of the token probabilities."""
    lengths_B1 = mask_BT.sum(-1, keepdim=True).clamp(min=1)
    return logps_BT.sum(-1, keepdim=True) / lengths_B1


def token(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Each token by its own probability p(y_t | x, y_<t)."""
    return logps_BT


def constant(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """No confidence at all: α alone is left (self-SFT, a control)."""
    return torch.full_like(logps_BT[:, :1], -torch.inf)


def group_softmax(pool: PoolView) -> Tensor:
    """p(y|x) / Σ_k p(y_k|x): the softmax of log p over the siblings; they sum to 1."""
    return pool.logps_KT.sum(-1).softmax(0)


def answer(pool: PoolView) -> Tensor:
    """The share of the *other* siblings with the same answer.

    It estimates p(a|x) = Σ_{y→a} p(y|x) without exponentials and, leaving the row itself out,
    without bias. A completion without an answer agrees with nobody.
    """
    votes = Counter(pool.clusters)
    others = len(pool) - 1
    shares = [0.0 if c is None else (votes[c] - 1) / others for c in pool.clusters]
    return torch.tensor(shares, dtype=torch.float64)


OF_TOKENS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    function.__name__: function for function in (sequence, length_normalized, token, constant)
}
OF_SIBLINGS: dict[str, Callable[[PoolView], Tensor]] = {
    function.__name__: function for function in (group_softmax, answer)
}
NEEDS = {"group_softmax": frozenset({"scores"}), "answer": frozenset({"answers"})}
"""Of `OF_SIBLINGS`: what they need of the group."""
NAMES = (*OF_TOKENS, *OF_SIBLINGS)
