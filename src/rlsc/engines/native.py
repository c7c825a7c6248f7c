"""The native engine: a question's prompt is computed once for its K siblings.

It calls the model's own forward with transformers' cache, so it serves decoder-only models with
attention of every kind; models with recurrent layers need `hf`. Rows that have ended leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from rlsc.engines.base import (
    Progress,
    SamplingParams,
    SamplingWeights,
    completes_stop_string,
    make_completion,
)
from rlsc.engines.sampling import sample_tokens
from rlsc.errors import ModelError
from rlsc.types import CompletionGroup, Prompt


@dataclass
class _Row:
    """One completion in the making."""

    prompt: int  # index into the call's prompts
    uniforms: Tensor  # [max_new_tokens] float64: the row's own random stream
    token_ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)


class NativeEngine:
    """Samples in `dtype`, at most `max_rows` completions at once."""

    def __init__(self, model: Any, tokenizer: Any, dtype: torch.dtype, max_rows: int = 256) -> None:
        self._weights = SamplingWeights(model, dtype)
        self._tokenizer = tokenizer
        self._max_rows = max_rows

    def sync(self, model: Any) -> None:
        self._weights.sync(model)

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        rows = [
            _Row(index, uniforms)
            for index, seed in enumerate(seeds)
            for uniforms in _random_streams(seed, n, params.max_new_tokens)
        ]
        with self._weights.sampling() as model:
            for start in range(0, len(rows), self._max_rows):
                batch = rows[start : start + self._max_rows]
                _decode(model, self._tokenizer, prompts, batch, params, on_progress)
        completions = [
            make_completion(self._tokenizer, row.token_ids, row.logps, params) for row in rows
        ]
        return [
            CompletionGroup(prompt, tuple(completions[index * n : (index + 1) * n]))
            for index, prompt in enumerate(prompts)
        ]


def _random_streams(seed: int, n: int, length: int) -> Tensor:
    """[n, length]: sibling i's stream is the same whatever n and length are."""
    streams = []
    generator = torch.Generator()
    for sibling in range(n):
        # Knuth's multiplier keeps neighbouring siblings' seeds far apart.
        generator.manual_seed((seed + sibling * 0x9E3779B97F4A7C15) % 2**63)
        streams.append(torch.rand(length, generator=generator, dtype=torch.float64))
    return torch.stack(streams)


def _decode(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    rows: list[_Row],
    params: SamplingParams,
    on_progress: Progress | None,
) -> None:
    """Fill `rows` token by token until each has ended or reached the cap."""
    device = next(model.parameters()).device
    stop_ids = torch.tensor(params.stop_token_ids, device=device)
    cache, mask_BL, logits_BV = _prefill(model, prompts, rows, device)
    position_B = mask_BL.sum(-1)
    for step in range(params.max_new_tokens):
        uniforms_B = torch.stack([row.uniforms[step] for row in rows]).to(device)
        tokens_B, logps_B = sample_tokens(logits_BV, uniforms_B, params)
        for row, token, logp in zip(rows, tokens_B.tolist(), logps_B.tolist(), strict=True):
            row.token_ids.append(token)
            row.logps.append(logp)
        alive_B = ~torch.isin(tokens_B, stop_ids)
        if params.stop_strings:
            stops = params.stop_strings
            at_stop = [completes_stop_string(tokenizer, row.token_ids, stops) for row in rows]
            alive_B &= ~torch.tensor(at_stop, device=device)
        if on_progress and (ended := len(rows) - int(alive_B.sum())):
            on_progress(ended)
        if not alive_B.any() or step + 1 == params.max_new_tokens:
            break
        if not alive_B.all():
            keep = alive_B.nonzero()[:, 0]
            rows = [rows[index] for index in keep.tolist()]
            cache.batch_select_indices(keep)
            mask_BL, tokens_B, position_B = mask_BL[keep], tokens_B[keep], position_B[keep]
        mask_BL = torch.cat([mask_BL, mask_BL.new_ones(len(rows), 1)], dim=1)
        logits_BV = _forward(model, tokens_B[:, None], mask_BL, position_B[:, None], cache)
        position_B = position_B + 1
    if on_progress and (ended := int(alive_B.sum())):
        on_progress(ended)


def _prefill(
    model: Any, prompts: Sequence[Prompt], rows: Sequence[_Row], device: torch.device
) -> tuple[DynamicCache, Tensor, Tensor]:
    """Compute each distinct prompt once, padded on the left, then repeat it for its rows."""
    distinct = list(dict.fromkeys(row.prompt for row in rows))
    token_ids = [prompts[index].token_ids for index in distinct]
    length = max(map(len, token_ids))
    input_ids_QL = torch.tensor([(0,) * (length - len(ids)) + ids for ids in token_ids])
    mask_QL = torch.tensor([[0] * (length - len(ids)) + [1] * len(ids) for ids in token_ids])
    input_ids_QL, mask_QL = input_ids_QL.to(device), mask_QL.to(device)
    position_QL = (mask_QL.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    logits_QV = _forward(model, input_ids_QL, mask_QL, position_QL, cache)
    if not all(hasattr(layer, "batch_select_indices") for layer in cache.layers):
        raise ModelError("the native engine cannot serve this model's cache: use --engine hf")
    place = {index: column for column, index in enumerate(distinct)}
    repeat_B = torch.tensor([place[row.prompt] for row in rows], device=device)
    cache.batch_select_indices(repeat_B)
    return cache, mask_QL[repeat_B], logits_QV[repeat_B]


def _forward(
    model: Any, input_ids: Tensor, mask: Tensor, position_ids: Tensor, cache: DynamicCache
) -> Tensor:
    """Logits of the last position, [B, V]; the cache grows by the tokens given."""
    return model(
        input_ids=input_ids,
        attention_mask=mask,
        position_ids=position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
