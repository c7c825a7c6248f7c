"""Engines by name: the table, `auto`, and a user's own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlsc.config import AUTO, ENGINES, EngineArguments, check_engine_name
from rlsc.errors import ConfigError, ModelError, ShardedModelError
from rlsc.runtime import console, is_user_code, load_user_code, waiting

if TYPE_CHECKING:
    import torch

    from rlsc.engines.base import Engine


def create_engine(
    config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
) -> Engine:
    """The engine that `config` names, sampling from `model` in `dtype`.

    Where it can't serve the model and has a fallback, a line says why and that takes its place.
    Raises `ModelError` where there is none or weights are sharded, and `ConfigError` for an engine
    that is unknown or not installed.
    """
    engine = engine_class(config)
    try:
        with waiting("starting the engine"):  # vLLM's takes minutes
            return engine.create(config, model, tokenizer, dtype)
    except ShardedModelError:
        raise
    except ModelError as error:
        if engine.fallback is None:
            raise
        console.print(
            f"the {resolve_engine(config.engine)} engine can't serve {type(model).__name__}: "
            f"{error}; using {engine.fallback}"
        )
        return _load(engine.fallback).create(config, model, tokenizer, dtype)


def engine_class(config: EngineArguments) -> type[Engine]:
    """The class of the engine that `config` names, which says what the engine can do."""
    return _load(resolve_engine(config.engine)).variant(config)


def resolve_engine(name: str) -> str:
    """What `auto` means here: the first engine that is preferred on this machine, else native."""
    if name != AUTO:
        return name
    return next((name for name in ENGINES if _load(name).preferred()), EngineArguments.engine)


def _load(name: str) -> type[Engine]:
    from rlsc.engines.base import Engine

    check_engine_name(name)
    if not is_user_code(name):
        module, _, attribute = ENGINES[name].partition(":")
        builtin: type[Engine] = getattr(importlib.import_module(module), attribute)
        return builtin
    engine = load_user_code("engine", name)
    if not (isinstance(engine, type) and issubclass(engine, Engine)):
        raise ConfigError(f"engine {name} is no subclass of rlsc.Engine")
    return engine
