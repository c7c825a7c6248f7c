"""TTRL: the majority's answer stands in for the label."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.config import setting
from rlsc.objectives.base import PoolView
from rlsc.objectives.consensus import Consensus
from rlsc.statistics import commonest


@dataclass(frozen=True)
class TTRL(Consensus):
    """r(y) = 1[answer(y) = the siblings' most frequent answer]. arXiv 2504.16084; SRT 2505.21444.

    All completions vote; `train_generations` trains on fewer (the paper: 64 vote, 32 train).
    Ties go to the answer seen first. A question whose majority has less than `vote_threshold`
    of the completions gets no reward at all, and so does one where nobody answered.

    Left out: the paper's schedules of learning rate and temperature.
    """

    vote_threshold: float = setting(
        0.0, "Least share of the majority for a reward.", least=0, most=1
    )

    def reward(self, pool: PoolView) -> Tensor:
        rewards = pool.zeros()
        winner, share = majority_cluster(pool)
        if winner is not None and share >= self.vote_threshold:
            for index, cluster in enumerate(pool.clusters):
                rewards[index] = float(cluster == winner)
        return rewards


def majority_cluster(pool: PoolView) -> tuple[int | None, float]:
    """The most frequent answer's cluster, ties to the first seen, and its share of all K."""
    winner, votes = commonest(pool.clusters)
    return winner, votes / len(pool)
