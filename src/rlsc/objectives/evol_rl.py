"""EVOL-RL: the majority selects, novelty varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from rlsc.config import setting
from rlsc.objectives.base import PoolView
from rlsc.objectives.consensus import Consensus
from rlsc.objectives.ttrl import majority_cluster
from rlsc.statistics import ngram_similarities

_ROUNDING = 1e-9
"""Novelties that differ by less are equal."""


@dataclass(frozen=True)
class EVOLRL(Consensus):
    """r(y) = ½ + ½ ν(y) for the majority's answer, −1 + ½ ν(y) for another. arXiv 2509.15194.

    Of completions with an answer, u = 1 − (α · mean similarity to those on y's side, majority or
    not, + (1 − α) · largest similarity to any), α = `novelty_mean_share`, and ν is u scaled to
    [0, 1] over y's side: ½ where all there are equally novel, and 1 where y is alone. So an
    answer is never worth more for its novelty than the majority's, and among equals the unusual
    way is worth most. Completions without an answer get −1, and so do all where fewer than two have
    one. These rules are those of the authors' code.

    Similarity is ours: the cosine of character n-grams by TF-IDF over the pool
    (`rlsc.statistics.ngram_similarities`), where the paper asks an embedding model of 4 billion
    parameters, so that it sees wording and not meaning. The whole completion is compared.

    Left out: the paper's entropy bonus and its larger upper clip.
    """

    novelty_mean_share: float = setting(
        0.5, "Weight of the mean similarity; the largest has the rest.", least=0, most=1
    )
    novelty_ngram: int = setting(3, "Characters of an n-gram that similarity counts.", least=1)

    def reward(self, pool: PoolView) -> Tensor:
        winner, _ = majority_cluster(pool)
        rewards = pool.zeros() - 1
        said = [place for place, cluster in enumerate(pool.clusters) if cluster is not None]
        if len(said) < 2:
            return rewards
        texts = [pool.texts[place] for place in said]
        similar = ngram_similarities(texts, self.novelty_ngram)
        for lowest, of_majority in ((0.5, True), (-1.0, False)):
            side = [
                index
                for index, place in enumerate(said)
                if (pool.clusters[place] == winner) == of_majority
            ]
            novelty = _scaled([self._novelty(similar[index], index, side) for index in side])
            for index, value in zip(side, novelty, strict=True):
                rewards[said[index]] = lowest + 0.5 * value
        return rewards

    def _novelty(self, similar: Sequence[float], own: int, side: Sequence[int]) -> float:
        """u of one completion, whose similarity to each of two or more is given."""
        others = [value for index, value in enumerate(similar) if index != own]
        beside = [similar[index] for index in side if index != own] or others
        share = self.novelty_mean_share
        return 1 - (share * fmean(beside) + (1 - share) * max(others))


def _scaled(values: Sequence[float]) -> list[float]:
    """To [0, 1]; a half each where all are equal, 1 for a single one."""
    if len(values) == 1:
        return [1.0]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < _ROUNDING:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]
