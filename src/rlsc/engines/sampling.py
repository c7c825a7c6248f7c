"""Draw the next token from logits. Shapes: _B rows, _V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from rlsc.engines.base import SamplingParams


def sample_tokens(
    logits_BV: Tensor, uniforms_B: Tensor, params: SamplingParams
) -> tuple[Tensor, Tensor]:
    """Next tokens and their log-probs under the distribution sampled from; both [B].

    `uniforms_B` (float64 in [0, 1)) is all the randomness there is: each row draws by inverting
    its cumulative distribution, so that a row's text does not depend on its neighbours.
    """
    logits_BV = logits_BV.float()
    if params.temperature == 0:
        tokens_B = logits_BV.argmax(-1)
        return tokens_B, _gather(logits_BV.log_softmax(-1), tokens_B)
    logp_BV = _filtered(logits_BV / params.temperature, params).log_softmax(-1)
    tokens_B = _invert_cdf(logp_BV.exp(), uniforms_B)
    return tokens_B, _gather(logp_BV, tokens_B)


def _gather(values_BV: Tensor, tokens_B: Tensor) -> Tensor:
    return values_BV.gather(-1, tokens_B[:, None])[:, 0]


def _invert_cdf(probs_BV: Tensor, uniforms_B: Tensor) -> Tensor:
    cdf_BV = probs_BV.double().cumsum(-1)
    # Scaled to the sum that rounding left; right=True never lands on a token of probability 0.
    targets_B1 = uniforms_B.to(cdf_BV)[:, None] * cdf_BV[:, -1:]
    return torch.searchsorted(cdf_BV, targets_B1, right=True)[:, 0].clamp(max=cdf_BV.shape[-1] - 1)


def _filtered(logits_BV: Tensor, params: SamplingParams) -> Tensor:
    """Logits with −inf outside the top-k, then outside the smallest set of mass top_p."""
    if 0 < params.top_k < logits_BV.shape[-1]:
        kth_B1 = logits_BV.topk(params.top_k).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < kth_B1, -torch.inf)
    if params.top_p < 1:
        sorted_BV, order_BV = logits_BV.sort(descending=True)
        probs_BV = sorted_BV.softmax(-1)
        # A token stays while the mass before it is below top_p, so the first always does.
        drop_BV = probs_BV.cumsum(-1) - probs_BV >= params.top_p
        drop_BV = torch.zeros_like(drop_BV).scatter(-1, order_BV, drop_BV)
        logits_BV = logits_BV.masked_fill(drop_BV, -torch.inf)
    return logits_BV
