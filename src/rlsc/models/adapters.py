"""LoRA adapters: made from settings, and merged into a model that loads anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import set_seed

from rlsc.errors import ConfigError


def with_adapter(model: Any, peft_config: Any, seed: int) -> Any:
    """The model with an adapter, whose first values are drawn from the seed."""
    set_seed(seed)
    return get_peft_model(model, peft_config)


def adapter_is_off(model: Any) -> bool:
    """Whether the model, at this moment, is computed without its adapter."""
    layers = (layer for layer in model.modules() if isinstance(layer, BaseTunerLayer))
    return any(layer.disable_adapters for layer in layers)


def lora_config(model: Any, r: int, alpha: int, target_modules: str) -> LoraConfig:
    """`target_modules`: "all-linear", or the names of layers between commas."""
    names = [name.strip() for name in target_modules.split(",") if name.strip()]
    head = model.get_output_embeddings()
    paths = [path for path, module in model.named_modules() if module is head]
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    if tied and any(path == name or path.endswith(f".{name}") for path in paths for name in names):
        raise ConfigError(
            f"lora_target_modules: {paths[0]} shares its weights with the embedding, which a merge "
            "would change too: leave it out"
        )
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=r,
        lora_alpha=alpha,
        target_modules="all-linear" if names == ["all-linear"] else names,
    )


def save_merged(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write base and adapter as one plain model, merging them in place.

    In float32: in bfloat16 most of an adapter's changes would be rounded away. On the CPU: a
    device that trained an adapter need not hold the whole model in float32.
    """
    merged = model.cpu().float().merge_and_unload()
    merged.config.dtype = torch.float32
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
