"""How much a question's answers differ in meaning, and advantages that are smaller for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from rlsc.config import setting
from rlsc.objectives.base import PoolView
from rlsc.objectives.policy_gradient import PolicyGradient


@dataclass(frozen=True, kw_only=True)
class EntropyScaled(PolicyGradient):
    """A′ = A · (1 − s · SE / log K),  SE the semantic entropy of the pool's answers, s from 0 to 1.

    So a question on which the model is of many minds moves it less. After SEED-GRPO, arXiv
    2505.12346, which multiplies advantages by a function of SE over its largest value that falls;
    this is a linear one. SE is that of the answers' frequencies, `semantic_entropy`, where the
    paper takes the clusters' likelihoods. s = `entropy_scale` = 0: no answers are compared for it.
    """

    entropy_scale: float = setting(
        0.0, "How much of its weights semantic entropy takes from a question.", least=0, most=1
    )

    @property
    def weights_need(self) -> Collection[str]:
        return {"answers"} if self.entropy_scale else set()

    def weights_of(self, rewards_K: Tensor, pool: PoolView) -> Tensor:
        weights_K = super().weights_of(rewards_K, pool)
        if not self.entropy_scale or len(pool) < 2:
            return weights_K
        return weights_K * (1 - self.entropy_scale * semantic_entropy(pool) / math.log(len(pool)))


def semantic_entropy(pool: PoolView) -> float:
    """Entropy, in nats, of the answers' clusters by frequency; unanswered completions not counted.

    0 where nobody answered.
    """
    votes = Counter(cluster for cluster in pool.clusters if cluster is not None)
    total = sum(votes.values())
    return -sum(count / total * math.log(count / total) for count in votes.values())
