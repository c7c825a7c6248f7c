"""Engines sample completions. `base` is the contract; `create_engine` picks one by name."""

from __future__ import annotations

from typing import Any

import torch

from rlsc.display import console
from rlsc.engines.base import Engine, SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native import NativeEngine
from rlsc.engines.scripted import ScriptedEngine
from rlsc.errors import ModelError, ShardedModelError

__all__ = [
    "Engine",
    "HFEngine",
    "NativeEngine",
    "SamplingParams",
    "ScriptedEngine",
    "create_engine",
    "seed_for",
]


def create_engine(
    name: str,
    model: Any,
    tokenizer: Any,
    dtype: torch.dtype,
    max_rows: int,
    memory_gb: float | None = None,
) -> Engine:
    """The engine `name`, sampling in `dtype`, at most `max_rows` completions at once.

    Where `native` can't serve the model, a line says why and `hf` takes its place.
    """
    if name == "hf":
        return HFEngine(model, tokenizer, dtype, max_rows)
    try:
        return NativeEngine(model, tokenizer, dtype, max_rows, memory_gb)
    except ShardedModelError:
        raise
    except ModelError as error:
        console.print(f"the native engine can't serve {type(model).__name__}: {error}; using hf")
        return HFEngine(model, tokenizer, dtype, max_rows)
