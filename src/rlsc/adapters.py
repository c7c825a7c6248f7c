"""LoRA adapters: made from settings, and merged into a model that loads anywhere."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from peft import LoraConfig


def lora_config(r: int, alpha: int, target_modules: str) -> LoraConfig:
    """`target_modules`: "all-linear", or the names of layers between commas."""
    names = [name.strip() for name in target_modules.split(",") if name.strip()]
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=r,
        lora_alpha=alpha,
        target_modules="all-linear" if names == ["all-linear"] else names,
    )


def save_merged(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write base and adapter as one plain model; `model` itself stays as it is."""
    merged = copy.deepcopy(model).merge_and_unload()
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
