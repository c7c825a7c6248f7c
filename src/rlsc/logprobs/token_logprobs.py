"""Token log-probs and entropies of given completions. Pure tensors, no training logic.

Shapes: _B rows, _T completion tokens, _V vocabulary. Units: nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def token_logps(logits_BTV: Tensor, tokens_BT: Tensor, temperature: float) -> Tensor:
    """log softmax(logits / temperature) at the given tokens; [B, T], float32 or wider.

    Row by row: the temporary tensors are one row's. The gradient still needs all logits.
    """
    rows = []
    for logits_TV, tokens_T in zip(logits_BTV, tokens_BT, strict=True):
        scaled_TV = _at_least_float32(logits_TV) / temperature
        chosen_T = scaled_TV.gather(-1, tokens_T[:, None])[:, 0]
        rows.append(chosen_T - scaled_TV.logsumexp(-1))
    return torch.stack(rows)


def token_entropies(logits_BTV: Tensor, temperature: float) -> Tensor:
    """Entropy of softmax(logits / temperature) at every position; [B, T]."""
    rows = []
    for logits_TV in logits_BTV:
        logp_TV = (_at_least_float32(logits_TV) / temperature).log_softmax(-1)
        # Where p is 0 so is p · log p, and its gradient, also for a logit of −inf.
        seen_TV = logp_TV.masked_fill(logp_TV.isneginf(), 0.0)
        rows.append(-(logp_TV.exp() * seen_TV).sum(-1))
    return torch.stack(rows)


@torch.no_grad()
def token_self_certainty(logits_BTV: Tensor, temperature: float) -> Tensor:
    """KL(uniform ‖ softmax(logits / temperature)) at every position; [B, T]."""
    rows = []
    for logits_TV in logits_BTV:
        logp_TV = (_at_least_float32(logits_TV) / temperature).log_softmax(-1)
        rows.append(-logp_TV.mean(-1) - math.log(logp_TV.shape[-1]))
    return torch.stack(rows)


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
