"""The model of a run or an evaluation, by its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from rlsc.models.adapters import load_adapter
from rlsc.models.loading import load_config, load_model, load_tokenizer


class NamesModel(Protocol):
    """What names a model in a command's settings."""

    model: str | None
    model_revision: str | None
    adapter: str | None
    load_in_4bit: bool
    trust_remote_code: bool


def policy_config(config: NamesModel) -> tuple[Any, str]:
    """The model's config and where it comes from, without its weights."""
    return load_config(config.model, config.trust_remote_code, config.model_revision)


def policy_tokenizer(config: NamesModel) -> Any:
    return load_tokenizer(config.model, config.trust_remote_code, config.model_revision)


def load_base(config: NamesModel, dtype: torch.dtype) -> Any:
    """The model that an adapter is of, in full precision."""
    return load_model(config.model, dtype, config.trust_remote_code, config.model_revision)[0]


def weight_files(config: NamesModel) -> list[Path]:
    """The files of a model, and of its adapter, that lie in a folder of the user's.

    None of a Hub id, whose revision says what it is, and of the embedded model.
    """
    places = [Path(name).expanduser() for name in (config.model, config.adapter) if name]
    files = [file for place in places for file in ([place] if place.is_file() else place.glob("*"))]
    return sorted(file for file in files if file.is_file())


def load_policy(
    config: NamesModel, dtype: torch.dtype, trainable: bool = False
) -> tuple[Any, Any, str]:
    """Model and tokenizer, and in words where they came from; with its adapter, if it has one.

    Raises `ModelError` and, where a package is missing, `ConfigError`.
    """
    model, tokenizer, origin = load_model(
        config.model, dtype, config.trust_remote_code, config.model_revision, config.load_in_4bit
    )
    if config.adapter is None:
        return model, tokenizer, origin
    adapted = load_adapter(model, config.adapter, trainable)
    return adapted, tokenizer, f"{origin.rstrip('.')}, with the adapter {config.adapter}"
