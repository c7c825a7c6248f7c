"""Attention along the paths of a token tree, for training.

Registered with transformers under `NAME`, so that a model's own modules call it. Queries, keys
and values of the tree are laid out path by path, [rows, heads, longest path, D], attention is
causal there, and each token takes its output from the first path that passes it. Only the tree's
queries, keys and values are kept for the backward pass, which lays them out again.
Shapes: _N tokens of the tree, _B rows, _H heads, _L the longest path, _D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface

from rlsc.errors import ModelError
from rlsc.logprobs.token_tree import TreeBatch
from rlsc.models import asks_for_more, softcap_of

NAME = "rlsc_paths"
_SCORES = 2**24  # held at once
_SHORT = 384  # tokens: up to here all scores at once are quicker on a CPU
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class Paths:
    """What a model's layers are given for one forward."""

    tree: TreeBatch
    replaces: str  # the model's own attention function, by name
    device_type: str | None = None  # whose ways are taken; None: of the tensors
    windows: set[int | None] = field(default_factory=set)  # that layers passed


def path_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    dropout: float = 0.0,
    paths: Paths | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """`query` [1, heads, N, D] → [1, N, heads, D], as transformers expects it."""
    if paths is None or dropout or asks_for_more(kwargs):
        raise ModelError("its attention cannot go along paths")
    paths.windows.add(sliding_window)
    longest = paths.tree.path_BL.shape[1]
    window = None if sliding_window is None or sliding_window >= longest else sliding_window
    softcap = softcap_of(paths.replaces, softcap)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    on_cpu = (paths.device_type or query.device.type) == "cpu"
    attend = partial(_attend, scale=scale, window=window, softcap=softcap, on_cpu=on_cpu)
    # The tree's rows, each [heads, D]; under autocast in the dtype of its products.
    query, key, value = (x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value))
    return _AlongPaths.apply(query, key, value, paths.tree, attend)[None], None


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    on_cpu: bool,
) -> Tensor:
    """Causal attention, [B, H, L, D]. Paths end on the right, so padding is never seen."""
    length = query.shape[2]
    short = on_cpu and length <= _SHORT and query.dtype != torch.float64
    if softcap is not None or short:
        return _by_products(query, key, value, scale, window, softcap)
    repeats = query.shape[1] // key.shape[1]
    key, value = (_repeated(x, repeats) for x in (key, value))
    if window is None:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    seen = ~_hidden(length, window, query.device)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)


def _by_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """All scores held at once: on a CPU several times quicker for short paths than in blocks."""
    rows, heads, length, size = query.shape
    key, value = key.reshape(-1, length, size), value.reshape(-1, length, size)
    scores = torch.bmm((query * scale).reshape(len(key), -1, size), key.mT)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    mask = torch.zeros(length, length, dtype=scores.dtype, device=scores.device)
    mask.masked_fill_(_hidden(length, window, scores.device), -torch.inf)
    weights = (scores.view(len(key), -1, length, length) + mask).softmax(-1)
    return torch.bmm(weights.flatten(1, 2), value).view(rows, heads, length, size)


def _hidden(length: int, window: int | None, device: torch.device) -> Tensor:
    position = torch.arange(length, device=device)
    distance = position[:, None] - position
    return distance < 0 if window is None else (distance < 0) | (distance >= window)


def _repeated(x_BHLD: Tensor, repeats: int) -> Tensor:
    """Key/value heads, each for the queries that share it."""
    if repeats == 1:
        return x_BHLD
    return x_BHLD[:, :, None].expand(-1, -1, repeats, -1, -1).flatten(1, 2)


class _AlongPaths(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, tree: TreeBatch, attend: Attend
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.tree, ctx.attend = tree, attend
        parts = []
        for paths_BL in _slices(tree, query.shape[1]):
            parts.append(_flat(attend(*(_laid_out(x, paths_BL) for x in (query, key, value)))))
        return torch.cat(parts).index_select(0, tree.first_N).view(query.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tree: TreeBatch = ctx.tree
        saved = ctx.saved_tensors  # once: reading them may compute them anew
        output_grad = grads[0].flatten(1)
        # Of the places where a token stands, the first alone gave its output.
        spread = output_grad.new_zeros(tree.path_BL.numel(), output_grad.shape[1])
        spread[tree.first_N] = output_grad
        start, parts = 0, []
        for paths_BL in _slices(tree, saved[0].shape[1]):
            inputs = [_laid_out(x, paths_BL).requires_grad_() for x in saved]
            with torch.enable_grad():
                output = ctx.attend(*inputs)
            here = spread[start : start + paths_BL.numel()]
            here = here.view(*paths_BL.shape, -1, output.shape[-1]).transpose(1, 2)
            parts.append([_flat(grad) for grad in torch.autograd.grad(output, inputs, here)])
            start += paths_BL.numel()
        query, key, value = (torch.cat(part) for part in zip(*parts, strict=True))
        return (
            query.index_select(0, tree.first_N).view(saved[0].shape),
            _summed(key, tree).view(saved[1].shape),
            _summed(value, tree).view(saved[2].shape),
            None,
            None,
        )


def _slices(tree: TreeBatch, heads: int) -> tuple[Tensor, ...]:
    """Paths a few at a time, so that their scores take little however many share a prompt."""
    scores = heads * tree.path_BL.shape[1] ** 2
    return tree.path_BL.split(max(1, _SCORES // scores))


def _laid_out(x_NHD: Tensor, paths_BL: Tensor) -> Tensor:
    """[N, H, D] → [B, H, L, D]."""
    flat = x_NHD.flatten(1).index_select(0, paths_BL.flatten())
    return flat.view(*paths_BL.shape, *x_NHD.shape[1:]).transpose(1, 2)


def _flat(x_BHLD: Tensor) -> Tensor:
    """[B, H, L, D] → [B · L, H · D]."""
    return x_BHLD.transpose(1, 2).flatten(2).flatten(0, 1)


def _summed(flat: Tensor, tree: TreeBatch) -> Tensor:
    """For each token the sum over the places where it stands: [B · L, H · D] → [N, H · D]."""
    return F.embedding_bag(tree.places, flat, tree.starts_N, mode="sum")


AttentionInterface.register(NAME, path_attention)
