"""Lending a model an attention function of ours, and which models it is lost on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rlsc.errors import ModelError

# Terms in the scores, and choices of keys, that our functions do not compute.
_UNKNOWN = ("s_aux", "position_bias", "indices", "block_indices")


def asks_for_more(arguments: Mapping[str, object]) -> bool:
    """Whether a model passes its attention something that our functions would leave out."""
    return any(arguments.get(name) is not None for name in _UNKNOWN)


def softcap_of(replaced: str, softcap: float | None) -> float | None:
    """The cap of scores; sdpa leaves it out, and the plain forward is what counts."""
    return None if replaced == "sdpa" else softcap


@contextmanager
def lent_attention(model: Any, name: str) -> Iterator[str]:
    """Within, the model's modules call the registered function `name`. Yields their own's name."""
    own = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield own
    finally:
        model.set_attn_implementation(own)


def cache_argument(model: Any) -> str:
    """What the model's forward calls its keys and values: `cache` from transformers 5.24 on."""
    arguments = inspect.signature(model.get_decoder().forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"


def check_architecture(model: Any) -> None:
    """Raises `ModelError` for a model whose attention cannot be lent or is not all there is."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or [])
    if config.is_encoder_decoder or model.get_output_embeddings() is None:
        raise ModelError("it is not a decoder-only language model")
    if kinds - {"full_attention", "sliding_attention"}:
        raise ModelError(f"its layers are not all attention: {', '.join(sorted(kinds))}")
    if not model._can_set_attn_implementation():
        raise ModelError("transformers can't set its attention function")


def hides_its_window(config: Any, windows: set[int | None]) -> bool:
    """Whether it has a sliding window, and no call passed one to the attention function.

    `windows`: what the calls passed as `sliding_window`.
    """
    return windows == {None} and _has_window(config)


def _has_window(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return "sliding_attention" in kinds
    used = getattr(config, "use_sliding_window", True)
    return bool(used and getattr(config, "sliding_window", None))
