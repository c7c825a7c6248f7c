"""Draw next tokens from logits. Shapes: _B distributions, _R rows that draw, _V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rlsc.engines.base import SamplingParams
from rlsc.errors import NonFiniteError

_BLOCK = 256  # tokens whose probabilities are summed before any single one is looked at
_AT_ONCE = 32  # distributions worked on at once: few enough to stay in the cache


def sample_tokens(
    logits_BV: Tensor, at: Sequence[int], uniforms: Sequence[float], params: SamplingParams
) -> tuple[list[int], list[float]]:
    """A token for each row, and its log-prob under the distribution sampled from.

    Row i draws from distribution `at[i]` (ascending) by inverting its cumulative probabilities
    at `uniforms[i]`, in [0, 1): that is all the randomness there is, so that a row's text does
    not depend on its neighbours.
    """
    logits_BV = logits_BV[:, : params.vocabulary]
    device = logits_BV.device
    double = torch.float32 if device.type == "mps" else torch.float64
    at_R = torch.tensor(at, device=device)
    uniforms_R = torch.tensor(uniforms, device=device, dtype=double)
    counts = at_R.bincount(minlength=len(logits_BV)).split(_AT_ONCE)
    ends = torch.tensor([int(count.sum()) for count in counts]).cumsum(0).tolist()
    tokens, logps = [], []
    for part, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        first = part * _AT_ONCE
        tokens_R, logps_R = _sample(
            logits_BV[first : first + _AT_ONCE],
            at_R[start:end] - first,
            uniforms_R[start:end],
            params,
        )
        tokens.append(tokens_R)
        logps.append(logps_R)
    return torch.cat(tokens).tolist(), torch.cat(logps).tolist()


def _sample(
    logits_BV: Tensor, at_R: Tensor, uniforms_R: Tensor, params: SamplingParams
) -> tuple[Tensor, Tensor]:
    if params.temperature == 0:
        logits_BV = logits_BV.float()  # argmax and softmax are several times slower in bfloat16
        probs_BV = logits_BV.softmax(-1)
    else:
        scaled_BV = logits_BV.to(torch.float32, copy=True).div_(params.temperature)
        probs_BV = _filtered(scaled_BV, params).softmax(-1)
    if probs_BV[:, 0].isnan().any():  # one logit that is not finite spoils its whole row
        raise NonFiniteError("the policy's logits are not finite: its weights are NaN or overflow")
    if params.temperature == 0:
        tokens_R = logits_BV.argmax(-1)[at_R]
    else:
        tokens_R = _invert_cdf(probs_BV, at_R, uniforms_R)
    return tokens_R, probs_BV[at_R, tokens_R].log()


def _invert_cdf(probs_BV: Tensor, at_R: Tensor, uniforms_R: Tensor) -> Tensor:
    """The token at which the cumulative probability passes the uniform: block first, then token.

    Sums within a block of tokens are needed for one block a row only, which spares a cumulative
    sum over the vocabulary. Never lands on a token of probability 0.
    """
    padding = -probs_BV.shape[1] % _BLOCK
    blocks_BNK = (F.pad(probs_BV, (0, padding)) if padding else probs_BV).unflatten(1, (-1, _BLOCK))
    sums_BN = blocks_BNK.sum(-1)
    block_R1, share_R1 = _search(sums_BN[at_R].to(uniforms_R.dtype), uniforms_R[:, None])
    within_RK = blocks_BNK[at_R, block_R1[:, 0]].to(uniforms_R.dtype)
    within_R1, _ = _search(within_RK, share_R1)
    return (block_R1 * _BLOCK + within_R1)[:, 0]


def _search(weights_RN: Tensor, uniforms_R1: Tensor) -> tuple[Tensor, Tensor]:
    """Where each uniform falls among the weights, and how far into that weight: both [R, 1]."""
    cdf_RN = weights_RN.cumsum(-1)
    total_R1 = cdf_RN[:, -1:].contiguous()
    # Scaled to the sum that rounding left; right=True passes over weights of 0.
    targets_R1 = uniforms_R1 * total_R1
    last_R1 = torch.searchsorted(cdf_RN, total_R1)
    index_R1 = torch.searchsorted(cdf_RN, targets_R1, right=True).minimum(last_R1)
    weight_R1 = weights_RN.gather(1, index_R1)
    before_R1 = cdf_RN.gather(1, index_R1) - weight_R1
    return index_R1, ((targets_R1 - before_R1) / weight_R1).clamp(0, 1)


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
