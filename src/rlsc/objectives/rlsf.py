"""RLSF: be sure of the answer's tokens."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsc.errors import ConfigError
from rlsc.objectives.base import PoolView, RunSettings
from rlsc.objectives.policy_gradient import PolicyGradient


@dataclass(frozen=True)
class RLSF(PolicyGradient):
    """r(y) = mean over the answer's tokens of p(likeliest) − p(second). After arXiv 2507.21931.

    Both probabilities are the policy's, at the loss's temperature, after what y says before the
    token, so that the reward is from 0 to 1: how clearly an answer wins over the next best where
    it is written. 0 where the answer's tokens are not known. Of the paper the abstract could be
    read: the confidence of the final answer's span ranks a question's solutions. The measure is
    that of chain-of-thought decoding (arXiv 2402.10200), whose answers are read by our grader.

    Left out: the paper's way from ranks to the policy, by preference pairs; `dpo` with
    `--dpo_pairs answer_gap` makes such pairs. Its decoding, which branches at the first token.
    """

    weights_need = frozenset({"answer_tokens", "answer_gaps"})

    def check(self, run: RunSettings) -> None:
        super().check(run)
        check_policy_samples(run, "rlsf")

    def reward(self, pool: PoolView) -> Tensor:
        return answer_confidence(pool)


def answer_confidence(pool: PoolView) -> Tensor:
    """The mean gap over each answer's tokens, [K]; 0 for an answer without known tokens."""
    return pool.answer_gaps_KT.sum(-1) / pool.answer_mask_KT.sum(-1).clamp(min=1)


def check_policy_samples(run: RunSettings, objective: str) -> None:
    """Raise `ConfigError` where the model before training samples, whose confidence it is not."""
    if run.rollout_policy == "base":
        raise ConfigError(
            f"rollout_policy base is not for {objective}: its confidence is the policy's"
        )
