"""Attention in which the K rows of a question read its prompt once.

Registered with transformers under `NAME`, so that a model's own modules call it. Scores against
the prompt are one product a question, [K · heads, P]; those against a row's own tokens are one
product a row; one softmax runs over both. While decoding, key/value heads are not repeated for
their queries.
The idea is that of Hydragen (arXiv 2402.05099) and of cascade attention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from rlsc.engines.native.kv_cache import Decode, Prefill, RolloutCache, RolloutLayer
from rlsc.errors import ModelError
from rlsc.models import asks_for_more, softcap_of

NAME = "rlsc_shared_prefix"
_QUERIES = 256  # tokens of a prompt whose scores are held at once
_CHUNK = 128  # columns of a float32 product: longer sums are cut by how wide the others are


def shared_prefix_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    rollout: RolloutCache | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """`query` [.., heads, tokens, D] → [.., tokens, heads, D], as transformers expects it."""
    if rollout is None or asks_for_more(kwargs):
        raise ModelError("the native engine cannot compute this model's attention")
    rollout.windows.add(sliding_window)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    softcap = softcap_of(rollout.replaces, softcap)
    layer, step = rollout.layers[module.layer_idx], rollout.step
    if isinstance(step, Decode):
        return _decode(query * scaling, layer, step, sliding_window, softcap), None
    return _prefill(query * scaling, layer, step, sliding_window, softcap), None


def _prefill(
    query: Tensor, layer: RolloutLayer, step: Prefill, window: int | None, softcap: float | None
) -> Tensor:
    """Causal attention of each prompt's new tokens, [1, .., tokens, D], to its keys so far."""
    prompts, (_, heads, _, size) = len(step.slots), layer.prompt_keys.shape
    shared = query.shape[1] // heads  # query heads to one key/value head
    grid = query.new_zeros(prompts * step.rows, heads * shared * size)
    grid[step.grid_T] = query[0].transpose(0, 1).flatten(1)
    grid = grid.view(prompts, step.rows, heads, shared * size).transpose(1, 2)
    grid = grid.reshape(prompts * heads, step.rows * shared, size)
    keys, values = layer.prompt_keys[step.slots], layer.prompt_values[step.slots]
    parts = []
    for first in range(0, step.rows, _QUERIES):
        end = min(first + _QUERIES, step.rows)
        hidden = step.mask(first, end, window)
        width = min(hidden.shape[2], keys.shape[2])
        part = grid[:, first * shared : end * shared]
        scores = _capped(torch.bmm(part, keys[:, :, :width].flatten(0, 1).mT), softcap)
        scores = scores.view(-1, end - first, shared, width)
        weights = scores.masked_fill_(hidden[..., :width], -torch.inf).softmax(-1)
        weights = weights.view(prompts * heads, -1, width)
        parts.append(_times(weights, values[:, :, :width].flatten(0, 1)))
    output = torch.cat(parts, 1).view(prompts, heads, step.rows, shared * size)
    output = output.transpose(1, 2).reshape(prompts * step.rows, heads * shared, size)
    return output[step.grid_T][None]


def _decode(
    query: Tensor, layer: RolloutLayer, step: Decode, window: int | None, softcap: float | None
) -> Tensor:
    rows, (_, heads, prompt_width, size) = len(query), layer.prompt_keys.shape
    query_BHSD = query.reshape(rows, heads, -1, size)
    shared = query_BHSD.shape[2]  # query heads to one key/value head
    flat = query_BHSD.view(rows * heads, shared, size)
    # Keys come first: the other way round, a product of a part of a block copies it.
    blocks = [block.flatten(0, 1) for block in step.used(layer.key_blocks)]
    own = [torch.bmm(block, flat.mT).mT.unflatten(0, (rows, heads)) for block in blocks]
    prompt_keys = layer.prompt_keys[: step.prompts].flatten(0, 1)
    prompt = _to_rows(torch.bmm(_to_prompts(query_BHSD, step), prompt_keys.mT), step, heads)
    scores = torch.cat([prompt, *own], -1)
    scores = _capped(scores, softcap)
    scores += step.mask(prompt_width, window, scores.dtype)

    values = step.used(layer.value_blocks)
    widths = [block.shape[2] for block in values]
    prompt, *own = scores.softmax(-1).split([prompt_width, *widths], -1)
    prompt_values = layer.prompt_values[: step.prompts].flatten(0, 1)
    output = _to_rows(_times(_to_prompts(prompt, step), prompt_values), step, heads)
    output = output.view(rows * heads, shared, -1)
    for part, block in zip(own, values, strict=True):
        part = part.reshape(rows * heads, shared, -1)
        output = output + _times(part, block.flatten(0, 1))
    return output.view(rows, 1, heads * shared, -1)


def _times(weights: Tensor, values: Tensor) -> Tensor:
    """Their product, whose sums do not depend on how many columns of zero weight follow."""
    if weights.dtype != torch.float32 or weights.shape[2] <= _CHUNK:
        return torch.bmm(weights, values)
    parts = zip(weights.split(_CHUNK, 2), values.split(_CHUNK, 1), strict=True)
    weight, value = next(parts)
    output = torch.bmm(weight, value)
    for weight, value in parts:
        output = output + torch.bmm(weight, value)
    return output


def _to_prompts(rows_BHSX: Tensor, step: Decode) -> Tensor:
    """[B, H, S, X] → [G · H, siblings · S, X]."""
    _, heads, shared, size = rows_BHSX.shape
    there, _ = step.indices(heads)
    picked = rows_BHSX.reshape(-1, shared * size).index_select(0, there)
    return picked.view(step.prompts * heads, step.siblings * shared, size)


def _to_rows(prompts: Tensor, step: Decode, heads: int) -> Tensor:
    """The inverse: [G · H, siblings · S, X] → [B, H, S, X]."""
    size = prompts.shape[-1]
    _, back = step.indices(heads)
    shared = prompts.shape[1] // step.siblings
    picked = prompts.view(-1, shared * size).index_select(0, back)
    return picked.view(-1, heads, shared, size)


def _capped(scores: Tensor, softcap: float | None) -> Tensor:
    return scores if softcap is None else torch.tanh(scores / softcap) * softcap


AttentionInterface.register(NAME, shared_prefix_attention)
