"""The memory that an engine in this process takes, from a model's config alone: `rlsc plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from rlsc.engines.native.kv_cache import aligned
from rlsc.models import embedded_weights
from rlsc.runtime import nbytes

_PREFILL = 8192  # tokens of prompts that are computed at once


@dataclass(frozen=True)
class Part:
    """Bytes of one thing while the engine is made, while it samples, and in an update."""

    name: str
    start: int = 0
    sampling: int = 0
    update: int = 0


@dataclass(frozen=True)
class Workload:
    """What an engine is to sample in a step of one process, and on what."""

    model: Any
    """Without its weights: on the meta device."""
    dtype: torch.dtype
    prompts: int
    completions: int
    """Of all prompts together."""
    prompt_length: int
    """Of the longest prompt, in tokens; every completion is taken to be as long as the cap."""
    max_new_tokens: int
    device: str
    """`cpu` or `cuda`."""
    device_memory: int | None
    """Bytes; None where it is not known."""
    resident: int
    """Bytes that are taken already while it samples."""


def weights_part(work: Workload, packed: bool) -> Part:
    """What `SamplingWeights` keeps while sampling, and what it takes while it is made."""
    parameters = list(work.model.parameters())
    itemsize = work.dtype.itemsize
    is_copy = parameters[0].dtype != work.dtype
    copy = sum(weight.numel() for weight in parameters) * itemsize if is_copy else 0
    start = nbytes(work.model) if is_copy else 0  # the copy is made in the model's own dtype
    if packed:
        layers = [layer for layer in work.model.modules() if type(layer) in (nn.Linear, Conv1D)]
        linears = [layer.weight for layer in layers]
        copy += sum(weight.numel() for weight in linears) * itemsize
        start = max(start, copy)
        if is_copy and not hasattr(work.model, "peft_config"):  # only embeddings stay beside
            embedded = embedded_weights(work.model)
            freed = [weight for weight in linears if id(weight) not in embedded]
            copy -= sum(weight.numel() for weight in freed) * itemsize
    return Part("weights to sample with", start, copy, 0)


def tensors_part(work: Workload, rows: int) -> Part:
    """The larger of prompts computed at once and of a decoding step's logits and scores."""
    width, cap = aligned(work.prompt_length), aligned(work.max_new_tokens)
    config = work.model.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    prompt = min(_PREFILL, work.prompts * width) * (3 * inner + 6 * config.hidden_size)
    scores = rows * config.num_attention_heads * (width + cap)
    elements = max(prompt, rows * config.vocab_size + 3 * scores)
    return Part("tensors of sampling", 0, work.dtype.itemsize * elements, 0)
