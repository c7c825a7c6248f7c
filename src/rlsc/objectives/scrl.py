"""SCRL: reward a clear majority alone, and punish what is rare and unsure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import PoolView, RunSettings
from rlsc.objectives.consensus import Consensus
from rlsc.objectives.self_certainty import mean_over_tokens


@dataclass(frozen=True)
class SCRL(Consensus):
    """r(y) = 1 for the majority's answer, −1 for a rare unsure one, 0 else. arXiv 2603.19880.

    The majority counts where it has at least `vote_threshold` of the K completions and more than
    `vote_margin` more of them than the next answer. An answer is negative where it is not that
    majority, has less than `negative_share` of the completions, and the mean entropy H̄ of its
    completions (of each the mean over its tokens, under the policy) is at least that of all K.
    So where no majority is clear, wrong answers can still be told. Completions without an answer
    get 0. The defaults are those of the authors' code, its binary rewards.

    Left out: the code's continuous rewards, and positive and negative rewards of other sizes.
    """

    vote_threshold: float = setting(
        0.5, "Least share of the majority for a reward.", least=0, most=1
    )
    vote_margin: float = setting(
        0.15, "By how much its share must exceed the next answer's.", least=0, most=1
    )
    negative_share: float = setting(
        0.15, "Below this share an unsure answer is negative; 0: none is.", least=0, most=1
    )

    @property
    def weights_need(self) -> Collection[str]:
        return {*super().weights_need, *({"scores"} if self.negative_share else ())}

    def check(self, run: RunSettings) -> None:
        super().check(run)
        if self.negative_share and run.num_generations * self.negative_share <= 1:
            raise ConfigError(
                f"negative_share {self.negative_share:g}: a single one of {run.num_generations} "
                "completions is no smaller share: raise num_generations or negative_share, or set "
                "negative_share 0 for no negative answers"
            )

    def reward(self, pool: PoolView) -> Tensor:
        votes = Counter(cluster for cluster in pool.clusters if cluster is not None)
        positive = self._positive(votes, len(pool))
        negative = self._negative(pool, votes, positive) if self.negative_share else set()
        rewards = [
            0.0 if c is None else float(c == positive) - float(c in negative) for c in pool.clusters
        ]
        return torch.tensor(rewards, dtype=torch.float64)

    def _positive(self, votes: Counter[int], k: int) -> int | None:
        """The majority's cluster, where it is clear."""
        ranked = votes.most_common(2)
        if not ranked or ranked[0][1] / k < self.vote_threshold:
            return None
        close = len(ranked) > 1 and (ranked[0][1] - ranked[1][1]) / k <= self.vote_margin
        return None if close else ranked[0][0]

    def _negative(self, pool: PoolView, votes: Counter[int], positive: int | None) -> set[int]:
        """Clusters that are rare and no surer than the pool."""
        entropies = mean_over_tokens(pool.entropies_KT, pool)
        mean = float(entropies.mean())
        places: dict[int, list[int]] = {cluster: [] for cluster in votes}
        for place, cluster in enumerate(pool.clusters):
            if cluster is not None:
                places[cluster].append(place)
        return {
            cluster
            for cluster, count in votes.items()
            if cluster != positive
            and count / len(pool) < self.negative_share
            and float(entropies[places[cluster]].mean()) >= mean
        }
