"""Log-probs and entropies from hidden states, without ever holding all logits.

The vocabulary head runs over a few hundred tokens at a time and once more in the backward pass,
so that memory grows with tokens × hidden size and not with tokens × vocabulary.
Shapes: _U tokens that predict, _M pairs of one of them and a token that follows, _V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_ON_CPU = 32  # rows of the softmax at once
Head = Callable[[Tensor], Tensor]


def pair_scores(
    head: Head,
    hidden_UH: Tensor,
    at_M: Tensor,
    tokens_M: Tensor,
    temperature: float,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """Log-probs, with gradient, and entropies of softmax(logits / temperature), both [M].

    Pair m is token `tokens_M[m]` after `hidden_UH[at_M[m]]`; `at_M` ascends. Float32 or wider,
    nats. `chunk`: tokens at a time; 0: all at once, the logits held for the backward pass.
    """
    tokens = len(hidden_UH)
    size = chunk or tokens
    logps, entropies = [], []
    for start, a, b in _parts(at_M, tokens, size):
        inputs = (hidden_UH[start : start + size], at_M[a:b] - start, tokens_M[a:b])
        if chunk and torch.is_grad_enabled():
            part = checkpoint(
                _scores, head, *inputs, temperature, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = _scores(head, *inputs, temperature)
        logps.append(part[0])
        entropies.append(part[1])
    return torch.cat(logps), torch.cat(entropies)


def _scores(
    head: Head, hidden_UH: Tensor, at_M: Tensor, tokens_M: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    return _PairScores.apply(head(hidden_UH), at_M, tokens_M, temperature)


class _PairScores(torch.autograd.Function):
    """The softmax in float32, a few rows at a time, so that they stay in a processor's cache."""

    @staticmethod
    def forward(
        ctx: Any, logits_UV: Tensor, at_M: Tensor, tokens_M: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        parts = [_summary(part, temperature) for part in logits_UV.split(_rows(logits_UV))]
        logsumexp_U, entropies_U = (torch.cat(values) for values in zip(*parts, strict=True))
        ctx.save_for_backward(logits_UV, logsumexp_U, at_M, tokens_M)
        ctx.temperature = temperature
        chosen_M = _scaled(logits_UV[at_M, tokens_M], temperature)
        entropies_M = entropies_U[at_M]
        ctx.mark_non_differentiable(entropies_M)
        return chosen_M - logsumexp_U[at_M], entropies_M

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        logits_UV, logsumexp_U, at_M, tokens_M = ctx.saved_tensors
        grad_M = grads[0] / ctx.temperature
        grad_U = torch.zeros_like(logsumexp_U).index_add_(0, at_M, grad_M)
        grad_UV = torch.empty_like(logits_UV)
        rows = _rows(logits_UV)
        for start, a, b in _parts(at_M, len(logits_UV), rows):
            here = slice(start, start + rows)
            grad = _scaled(logits_UV[here], ctx.temperature)
            grad.sub_(logsumexp_U[here, None]).exp_().mul_(-grad_U[here, None])
            at = (at_M[a:b] - start, tokens_M[a:b])
            grad.index_put_(at, grad_M[a:b], accumulate=True)
            grad_UV[here] = grad
        return grad_UV, None, None, None


def _parts(at_M: Tensor, tokens: int, size: int) -> list[tuple[int, int, int]]:
    """Runs of `size` tokens: where each starts, and from where to where its pairs are."""
    starts = range(0, tokens, size)
    bounds = torch.tensor([*starts, tokens], device=at_M.device)
    ends = torch.searchsorted(at_M, bounds).tolist()
    return [(start, a, b) for start, (a, b) in zip(starts, pairwise(ends), strict=True)]


def _rows(logits_UV: Tensor) -> int:
    return _ON_CPU if logits_UV.device.type == "cpu" else max(1, len(logits_UV))


def _summary(logits_UV: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """log Σ exp and entropy of each row's softmax."""
    scaled = _scaled(logits_UV, temperature)
    highest_U = scaled.amax(-1)
    scaled.sub_(highest_U[:, None])
    weights = scaled.exp()
    total_U = weights.sum(-1)
    # p · log p → 0 where p = 0, also where the model forbids a token by a logit of −inf.
    scaled.clamp_(min=torch.finfo(scaled.dtype).min)
    mean_U = weights.mul_(scaled).sum(-1) / total_U
    return highest_U + total_U.log(), total_U.log() - mean_U


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    """A copy in float32, or float64 for float64."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, copy=True).div_(temperature)
