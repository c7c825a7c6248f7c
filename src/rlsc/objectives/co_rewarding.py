"""Co-rewarding: others vote. A slow copy of the policy, or the policy on a paraphrase."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import PoolView, RunSettings
from rlsc.objectives.consensus import Consensus
from rlsc.statistics import commonest


@dataclass(frozen=True)
class CoRewarding(Consensus):
    """r(y) = 1[answer(y) = the most frequent answer of K other completions]. arXiv 2508.00410.

    With `votes_of` teacher (the paper's second form) the voters are completions of a teacher,
    θ_T ← (1 − ρ) θ_T + ρ θ after each update, ρ = `teacher_rate`; with `votes_of` paraphrase (its
    first) the policy's own, of the data set's `paraphrase` of the question. Ties go to the answer
    seen first; where nobody of them answers there is no reward.

    The voters are none of the completions that are trained on. So a completion cannot vote for
    itself, and `leave_one_out` ascends Σ_a P(the vote is a) p(a) exactly, the vote held fixed.

    Left out: the annealing of ρ from 0.01 to 0.00001 over the run, since a run that goes on for
    longer would have had other rates; training on the paraphrase's completions by the question's
    votes, for which a data set may have it as a row of its own.
    """

    votes_of: str = setting(
        "teacher",
        "Who votes: a moving average of the policy, or the policy on the column paraphrase.",
        choices=("teacher", "paraphrase"),
    )
    teacher_rate: float = setting(
        0.01, "How far the teacher goes towards the policy after an update.", above=0, most=1
    )

    @property
    def weights_need(self) -> Collection[str]:
        return {*super().weights_need, "votes"}

    @property
    def unread(self) -> Collection[str]:
        return (*super().unread, *(("teacher_rate",) if self.votes_of == "paraphrase" else ()))

    def check(self, run: RunSettings) -> None:
        super().check(run)
        if run.rollout_policy == "base":
            raise ConfigError(
                "rollout_policy base is not for co_rewarding: its voters follow the policy"
            )

    def reward(self, pool: PoolView) -> Tensor:
        winner, _ = commonest(pool.votes)
        if winner is None:
            return pool.zeros()
        return torch.tensor([float(c == winner) for c in pool.clusters], dtype=torch.float64)
