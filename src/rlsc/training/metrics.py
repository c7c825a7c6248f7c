"""What is logged of a step: what the policy did, and what the loss really weighed.

All from quantities the step has computed anyway; nothing here needs labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsc.statistics.votes import collision_probability
from rlsc.types import CompletionGroup


@dataclass
class StepRecord:
    """Per-completion results of one step, one entry for each of the N completions."""

    logps_N: Tensor
    """Summed log-prob at the loss's temperature."""
    log_confidence_N: Tensor
    log_weight_N: Tensor
    """log |w|; `sign_N` has the sign."""
    sign_N: Tensor
    entropy_sum_N: Tensor
    """Sum over the completion's tokens of the entropy at the loss's temperature."""
    lengths_N: Tensor

    @property
    def weights_N(self) -> Tensor:
        """The weights themselves; 0 where they underflow."""
        return self.sign_N * self.log_weight_N.exp()

    @classmethod
    def empty(cls, n: int) -> StepRecord:
        return cls(*(torch.zeros(n, dtype=torch.float64) for _ in range(6)))

    def fill(self, members: Sequence[Sequence[int]], **values_B: Tensor) -> None:
        """Set fields by name, from one value a row to all the completions it stands for."""
        for name, values in values_B.items():
            target_N = getattr(self, name)
            for indices, value in zip(members, values.tolist(), strict=True):
                target_N[list(indices)] = value


def step_metrics(
    groups: Sequence[CompletionGroup], record: StepRecord, alpha: float, kept: int
) -> dict[str, float]:
    """The step's metrics, by name. Entropy and log-probs in nats, lengths in tokens.

    `kept` is the number of completions that are not masked out of the loss. Weights may be
    negative, as advantages are: their sizes count here.

    - `mean_p`, `max_p`: p(y|x) at the loss's temperature; `mean_logp` its log per token.
    - `f_hat`: unbiased estimate of Σ_y q(y|x)², q the policy sampled from, by identical
      siblings (nan for K = 1).
    - `effective_sample_size`: (Σw)² / Σw² of the weights of a question's siblings, 1 to K; 0
      where all are 0.
    - `underflowed_weights`: share of confidence weights that are 0 in float32, be it because
      they underflow or because the confidence is 0 (weight constant, a lone answer, siblings of
      one reward).
    - `alpha_share`: share of the total weight that is α rather than confidence.
    - `distinct_completions`: distinct siblings over K.
    - `sampled_tokens`: of all completions of the step.
    """
    completions = [completion for group in groups for completion in group.completions]
    sizes = [len(group.completions) for group in groups]
    p_N = record.logps_N.exp()
    f_hats = [collision_probability([c.token_ids for c in g.completions]) for g in groups]
    ess = [_effective_sample_size(part) for part in record.log_weight_N.split(sizes)]
    distinct = [len({c.token_ids for c in g.completions}) for g in groups]
    total_weight = float(record.log_weight_N.exp().sum())
    tokens = float(record.lengths_N.sum())
    return {
        "mean_p": float(p_N.mean()),
        "max_p": float(p_N.max()),
        "mean_logp": float(record.logps_N.sum()) / tokens,
        "f_hat": _mean([f for f in f_hats if f is not None]),
        "effective_sample_size": _mean(ess),
        "underflowed_weights": float((record.log_confidence_N.float().exp() == 0).double().mean()),
        "alpha_share": alpha * kept / total_weight if total_weight else float("nan"),
        "entropy": float(record.entropy_sum_N.sum()) / tokens,
        "completion_length": tokens / len(completions),
        "sampled_tokens": tokens,
        "truncation_rate": _mean([c.finish_reason == "length" for c in completions]),
        "distinct_completions": sum(distinct) / len(completions),
    }


def _effective_sample_size(log_weights_K: Tensor) -> float:
    """(Σw)² / Σw², in log space: right even where every weight underflows."""
    if torch.isneginf(log_weights_K).all():
        return 0.0
    return float((2 * log_weights_K.logsumexp(0) - (2 * log_weights_K).logsumexp(0)).exp())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
