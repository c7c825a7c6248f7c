"""Engines sample completions. `base` is the contract; `create_engine` picks one by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from rlsc.engines.base import Engine, SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native import NativeEngine
from rlsc.engines.scripted import ScriptedEngine

__all__ = [
    "Engine",
    "HFEngine",
    "NativeEngine",
    "SamplingParams",
    "ScriptedEngine",
    "create_engine",
    "seed_for",
]

_ENGINES: dict[str, Callable[..., Engine]] = {"native": NativeEngine, "hf": HFEngine}


def create_engine(
    name: str, model: Any, tokenizer: Any, dtype: torch.dtype, max_rows: int
) -> Engine:
    """The engine `name`, sampling in `dtype`, at most `max_rows` completions at once."""
    return _ENGINES[name](model, tokenizer, dtype, max_rows)
