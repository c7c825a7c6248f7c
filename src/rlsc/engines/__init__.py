"""Engines sample completions. `base` is the contract; `create_engine` picks one by name."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from rlsc.config.engine import EngineArguments
from rlsc.engines.base import Engine, SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.engines.scripted import ScriptedEngine
from rlsc.engines.spread import SpreadEngine, spread
from rlsc.errors import ModelError, ShardedModelError
from rlsc.runtime.console import console

__all__ = [
    "Engine",
    "HFEngine",
    "NativeEngine",
    "SamplingParams",
    "ScriptedEngine",
    "SpreadEngine",
    "create_engine",
    "resolve_engine",
    "seed_for",
    "spread",
]


def create_engine(
    config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
) -> Engine:
    """The engine that `config` names, sampling from `model` in `dtype`.

    Where `native` can't serve the model, a line says why and `hf` takes its place. Raises
    `ModelError` where weights are sharded, and `ConfigError` where vLLM is missing.
    """
    name = resolve_engine(config.engine)
    if name == "vllm":
        from rlsc.engines.vllm import VLLMEngine, VLLMServerEngine

        if config.vllm_mode == "server":
            return VLLMServerEngine(model, tokenizer, config)
        return VLLMEngine(model, tokenizer, dtype, config)
    rows = config.rollout_batch_size
    if name == "hf":
        return HFEngine(model, tokenizer, dtype, rows)
    try:
        return NativeEngine(model, tokenizer, dtype, rows, config.rollout_memory_gb)
    except ShardedModelError:
        raise
    except ModelError as error:
        console.print(f"the native engine can't serve {type(model).__name__}: {error}; using hf")
        return HFEngine(model, tokenizer, dtype, rows)


def resolve_engine(name: str) -> str:
    """What `auto` means here: vllm where it is installed and a GPU is there, else native."""
    if name != "auto":
        return name
    has_vllm = importlib.util.find_spec("vllm") is not None
    return "vllm" if has_vllm and torch.cuda.is_available() else "native"
