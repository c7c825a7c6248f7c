"""From the rewards of a pool's completions to their weights. Pure functions, [K] → [K].

Where a completion's reward depends on it alone, `raw`, `plus_alpha` and `leave_one_out`, whose
baseline is of the others, leave the expected policy gradient that of E[R]. Where siblings vote on
rewards (TTRL, EMPO), the others' rewards depend on the completion too: none of them does, and `raw`
gives E[R ∇ log π].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_EPSILON = 1e-4


def raw(rewards_K: Tensor) -> Tensor:
    """r: no baseline."""
    return rewards_K


def centred(rewards_K: Tensor) -> Tensor:
    """r − mean r, Dr. GRPO's (arXiv 2503.20783): (K − 1) / K times `leave_one_out`."""
    return rewards_K - rewards_K.mean()


def standardised(rewards_K: Tensor) -> Tensor:
    """(r − mean r) / (std r + 10⁻⁴), GRPO's (arXiv 2402.03300). 0 where all are equal or K = 1.

    The standard deviation is the sample's (K − 1), as in TRL.
    """
    if len(rewards_K) < 2 or bool((rewards_K == rewards_K[0]).all()):
        return torch.zeros_like(rewards_K)
    return (rewards_K - rewards_K.mean()) / (rewards_K.std() + _EPSILON)


def leave_one_out(rewards_K: Tensor) -> Tensor:
    """r − the mean of the others' (RLOO, arXiv 2402.14740). 0 for K = 1."""
    if len(rewards_K) < 2:
        return torch.zeros_like(rewards_K)
    return (rewards_K - rewards_K.mean()) * len(rewards_K) / (len(rewards_K) - 1)


def token_whitened(rewards_K: Tensor, lengths_K: Tensor) -> Tensor:
    """(r − μ) / √(σ² + 10⁻⁸), both of tokens: long completions set them. 0 where all are equal.

    μ = Σ T r / ΣT and σ² = Σ T (r − μ)² / (ΣT − 1), with T tokens in a completion, each with its
    completion's reward: what the code of AZR (arXiv 2505.03335) does, whose paper says
    `standardised`. The mean of the weights over tokens is 0, over completions it is not.
    """
    if len(rewards_K) < 2 or bool((rewards_K == rewards_K[0]).all()):
        return torch.zeros_like(rewards_K)
    weights_K = lengths_K.to(rewards_K)
    centred_K = rewards_K - (weights_K * rewards_K).sum() / weights_K.sum()
    variance = (weights_K * centred_K.square()).sum() / (weights_K.sum() - 1)
    return centred_K / (variance + 1e-8).sqrt()


def plus_alpha(rewards_K: Tensor, alpha: float) -> Tensor:
    """r + α, as RLSC's L2."""
    return rewards_K + alpha


SHAPINGS: dict[str, Callable[[Tensor], Tensor]] = {
    function.__name__: function for function in (raw, centred, standardised, leave_one_out)
}

NAMES = (*SHAPINGS, "plus_alpha", "token_whitened")

RELATIVE = ("centred", "standardised", "leave_one_out", "token_whitened")
"""Those that leave nothing of the reward of a single completion."""


def shape(name: str, rewards_K: Tensor, alpha: float, lengths_K: Tensor) -> Tensor:
    """The shaping of that name; `alpha` counts for `plus_alpha` alone, tokens for `token_…`."""
    if name == "token_whitened":
        return token_whitened(rewards_K, lengths_K)
    return plus_alpha(rewards_K, alpha) if name == "plus_alpha" else SHAPINGS[name](rewards_K)
