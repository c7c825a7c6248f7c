"""DPO on pairs that nobody labelled, or on a preference data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.config import setting
from rlsc.errors import ConfigError
from rlsc.objectives.base import Objective, PoolView, RunSettings
from rlsc.objectives.policy_gradient import check_siblings
from rlsc.objectives.rlsf import answer_confidence
from rlsc.objectives.ttrl import majority_cluster


@dataclass(frozen=True)
class DPO(Objective):
    """−log σ(β Δ),  Δ = log p_θ(y_w)/p_ref(y_w) − log p_θ(y_l)/p_ref(y_l). arXiv 2305.18290.

    One pair a question. y_w and y_l are the siblings of highest and lowest mean token log-prob
    (`confidence`), one of the majority's answer and one of the rarest other answer, the most
    confident of each (`majority`; no pair where all agree), those of the highest and lowest
    confidence in the answer's own tokens (`answer_gap`, as `rlsf` rewards it), or the first and
    second completion (`given`, of a preference data set). p_ref is the model before training.

    The gradient is −β σ(−β Δ) (∇log p_θ(y_w) − ∇log p_θ(y_l)), so a pair is two weighted
    completions and may lie in different micro-batches; the loss logged is that weighted sum.
    The mean is over a step's completions, of which a pair is two.

    Log-probs are at the loss's temperature, that of sampling by default; the paper's is 1.

    Left out: TRL's trainer, which could not share rollouts with the other methods; label
    smoothing and the other losses of its family.
    """

    dpo_beta: float = setting(0.1, "β.", least=0)
    dpo_pairs: str = setting(
        "confidence",
        "Pairs by the policy's confidence, by the majority's answer, by confidence in the answer's "
        "own tokens, or given by the data set.",
        choices=("confidence", "majority", "answer_gap", "given"),
    )

    @property
    def weights_need(self) -> Collection[str]:
        of_pairs = {"majority": {"answers"}, "answer_gap": {"answer_tokens", "answer_gaps"}}
        return {"scores", "reference", *of_pairs.get(self.dpo_pairs, ())}

    @property
    def zero_weight_is_zero_gradient(self) -> bool:
        return True

    @property
    def completions_given(self) -> bool:
        return self.dpo_pairs == "given"

    def check(self, run: RunSettings) -> None:
        super().check(run)
        check_siblings("objective dpo", run)
        if run.train_generations or run.num_iterations > 1:
            raise ConfigError(
                "train_generations and num_iterations are not for dpo: a pair is two of all "
                "completions, and its weight is that of the policy as it is"
            )
        if run.mask_truncated_completions or run.importance_sampling_correction:
            raise ConfigError(
                "mask_truncated_completions and importance_sampling_correction are not for dpo: "
                "it would lose half of a pair, or weigh its halves differently"
            )
        if run.rollout_policy == "base":
            raise ConfigError("rollout_policy base is not for dpo: its margins are the policy's")
        if self.completions_given and run.num_generations != 2:
            raise ConfigError(
                "dpo_pairs given takes both completions from the data set: it needs "
                "num_generations 2"
            )
        if self.completions_given and run.entropy_floor is not None:
            raise ConfigError("entropy_floor is of the policy's samples: not for dpo_pairs given")

    def weigh(self, pool: PoolView) -> Tensor:
        weights = pool.zeros()
        pair = self._pair(pool)
        if pair is not None:
            ratios_K = (pool.logps_KT - pool.reference_logps_KT).sum(-1)
            delta = ratios_K[pair[0]] - ratios_K[pair[1]]
            weight = self.dpo_beta * torch.sigmoid(-self.dpo_beta * delta)
            weights[pair[0]], weights[pair[1]] = weight, -weight
        return weights

    def _pair(self, pool: PoolView) -> tuple[int, int] | None:
        """The indices of y_w and y_l; None where there is no such pair."""
        if self.dpo_pairs == "given":
            return 0, 1
        confidence = (pool.logps_KT.sum(-1) / pool.mask_KT.sum(-1)).tolist()
        if self.dpo_pairs == "answer_gap":
            confidence = answer_confidence(pool).tolist()
        if self.dpo_pairs in ("confidence", "answer_gap"):
            order = sorted(range(len(pool)), key=lambda index: confidence[index])
            return None if confidence[order[0]] == confidence[order[-1]] else (order[-1], order[0])
        winner, _ = majority_cluster(pool)
        others = Counter(c for c in pool.clusters if c not in (None, winner))
        if not others:
            return None
        rarest = min(others, key=lambda cluster: others[cluster])
        chosen, rejected = (
            max(
                (index for index, other in enumerate(pool.clusters) if other == cluster),
                key=lambda index: confidence[index],
            )
            for cluster in (winner, rarest)
        )
        return chosen, rejected
