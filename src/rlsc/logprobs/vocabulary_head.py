"""Log-probs, entropies and self-certainty from hidden states, without ever holding all logits.

The vocabulary head runs over a few hundred tokens at a time and once more in the backward pass,
so that memory grows with tokens × hidden size and not with tokens × vocabulary.
Shapes: _U tokens that predict, _M pairs of one of them and a token that follows, _V vocabulary.
"""

from __future__ import annotations

import math
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
    entropy_gradient: bool = False,
    device_type: str | None = None,
    vocabulary: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probs, with gradient, entropies and self-certainty of softmax(logits / temperature), [M].

    Pair m is token `tokens_M[m]` after `hidden_UH[at_M[m]]`; `at_M` ascends. Float32 or wider,
    nats. Entropies have a gradient where `entropy_gradient` asks for it; self-certainty is
    KL(uniform ‖ softmax). `chunk`: tokens at a time; 0: all at once, the logits held for the
    backward pass. `device_type`: whose ways are taken; None: those of the tensors' own.
    `vocabulary`: logits from this one on are of no token, and left out; None: all count.
    """
    tokens = len(hidden_UH)
    size = chunk or tokens
    scores: list[tuple[Tensor, ...]] = []
    for start, a, b in _parts(at_M, tokens, size):
        inputs = (hidden_UH[start : start + size], at_M[a:b] - start, tokens_M[a:b])
        device = device_type or hidden_UH.device.type
        settings = (temperature, entropy_gradient, device, vocabulary)
        if chunk and torch.is_grad_enabled():
            part = checkpoint(
                _scores, head, *inputs, *settings, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = _scores(head, *inputs, *settings)
        scores.append(part)
    logps, entropies, certainty = (torch.cat(values) for values in zip(*scores, strict=True))
    return logps, entropies, certainty


def _scores(head: Head, hidden_UH: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    scores: tuple[Tensor, ...] = _PairScores.apply(head(hidden_UH), *rest)
    return scores


class _PairScores(torch.autograd.Function):
    """The softmax in float32, a few rows at a time, so that they stay in a processor's cache."""

    @staticmethod
    def forward(
        ctx: Any,
        logits_UV: Tensor,
        at_M: Tensor,
        tokens_M: Tensor,
        temperature: float,
        entropy_gradient: bool,
        device_type: str,
        vocabulary: int | None,
    ) -> tuple[Tensor, ...]:
        ctx.columns = logits_UV.shape[1]
        logits_UV = logits_UV[:, :vocabulary]
        rows = _rows(logits_UV, device_type)
        parts = [_summary(part, temperature) for part in logits_UV.split(rows)]
        logsumexp_U, entropies_U, certainty_U = (
            torch.cat(values) for values in zip(*parts, strict=True)
        )
        ctx.save_for_backward(logits_UV, logsumexp_U, entropies_U, at_M, tokens_M)
        ctx.temperature, ctx.entropy_gradient, ctx.rows = temperature, entropy_gradient, rows
        chosen_M = _scaled(logits_UV[at_M, tokens_M], temperature)
        entropies_M, certainty_M = entropies_U[at_M], certainty_U[at_M]
        constants = (certainty_M,) if entropy_gradient else (entropies_M, certainty_M)
        ctx.mark_non_differentiable(*constants)
        return chosen_M - logsumexp_U[at_M], entropies_M, certainty_M

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """∂ log p_k / ∂s_v = 1[v = k] − p_v;  ∂H / ∂s_v = −p_v (log p_v + H);  s = logits / T."""
        logits_UV, logsumexp_U, entropies_U, at_M, tokens_M = ctx.saved_tensors
        grad_M = grads[0] / ctx.temperature
        grad_U = torch.zeros_like(logsumexp_U).index_add_(0, at_M, grad_M)
        entropy_U = None
        if ctx.entropy_gradient:
            entropy_M = grads[1] / ctx.temperature
            entropy_U = torch.zeros_like(logsumexp_U).index_add_(0, at_M, entropy_M)
        grad_UV = logits_UV.new_empty(len(logits_UV), ctx.columns)
        grad_UV[:, logits_UV.shape[1] :] = 0.0
        rows = ctx.rows
        for start, a, b in _parts(at_M, len(logits_UV), rows):
            here = slice(start, start + rows)
            grad = _scaled(logits_UV[here], ctx.temperature).sub_(logsumexp_U[here, None])
            if entropy_U is None:
                grad.exp_().mul_(-grad_U[here, None])
            else:
                surprise = grad.clamp(min=-1e4).add_(entropies_U[here, None])
                surprise.mul_(entropy_U[here, None]).add_(grad_U[here, None])
                grad.exp_().mul_(surprise.neg_())
            at = (at_M[a:b] - start, tokens_M[a:b])
            grad.index_put_(at, grad_M[a:b], accumulate=True)
            grad_UV[here, : grad.shape[1]] = grad
        return grad_UV, *[None] * 6


def _parts(at_M: Tensor, tokens: int, size: int) -> list[tuple[int, int, int]]:
    """Runs of `size` tokens: where each starts, and from where to where its pairs are."""
    starts = range(0, tokens, size)
    bounds = torch.tensor([*starts, tokens], device=at_M.device)
    ends = torch.searchsorted(at_M, bounds).tolist()
    return [(start, a, b) for start, (a, b) in zip(starts, pairwise(ends), strict=True)]


def _rows(logits_UV: Tensor, device_type: str) -> int:
    return _ON_CPU if device_type == "cpu" else max(1, len(logits_UV))


def _summary(logits_UV: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """log Σ exp, entropy and KL(uniform ‖ ·) of each row's softmax."""
    scaled = _scaled(logits_UV, temperature)
    highest_U = scaled.amax(-1)
    scaled.sub_(highest_U[:, None])
    certainty_U = -scaled.mean(-1) - math.log(scaled.shape[-1])
    weights = scaled.exp()
    total_U = weights.sum(-1)
    # p · log p → 0 where p = 0, also where the model forbids a token by a logit of −inf.
    scaled.clamp_(min=torch.finfo(scaled.dtype).min)
    mean_U = weights.mul_(scaled).sum(-1) / total_U
    log_total_U = total_U.log()
    return highest_U + log_total_U, log_total_U - mean_U, certainty_U + log_total_U


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    """A copy in float32, or float64 for float64."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, copy=True).div_(temperature)
