"""EMPO: agree with yourself about the meaning."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import PoolView
from rlsc.objectives.consensus import Consensus
from rlsc.objectives.semantic_entropy import semantic_entropy


@dataclass(frozen=True)
class EMPO(Consensus):
    """r(y) = share of the pool, y among them, with an answer equal to y's. arXiv 2504.05812.

    It lowers the semantic entropy −Σ_c p(c) log p(c) of the answers. Questions whose semantic
    entropy, in nats, lies outside [`entropy_low`, `entropy_high`] are left out: certain already,
    or beyond the model. Completions without an answer form no cluster and get 0.

    With raw shaping, `dr_grpo` and an answer in every completion the expected gradient is
    (K − 1) / K of answer-level RLSC's: they differ in counting y itself, the constant 1/K.

    Left out: clusters by an entailment model for free text; equal final answers are one meaning.
    """

    entropy_low: float = setting(0.0, "Least semantic entropy of a question, in nats.", least=0)
    entropy_high: float = setting(
        math.inf, "Highest semantic entropy of a question, in nats.", least=0, most=math.inf
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.entropy_low > self.entropy_high:
            low, high = self.entropy_low, self.entropy_high
            raise ConfigError(f"entropy_low {low} is above entropy_high {high}")

    def reward(self, pool: PoolView) -> Tensor:
        if not self.entropy_low <= semantic_entropy(pool) <= self.entropy_high:
            return pool.zeros()
        votes = Counter(pool.clusters)
        shares = [0.0 if c is None else votes[c] / len(pool) for c in pool.clusters]
        return torch.tensor(shares, dtype=torch.float64)
