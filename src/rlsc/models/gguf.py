"""A GGUF file as a plain model and its tokenizer, dequantised by transformers."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from rlsc.runtime import console, release_freed_memory

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PATTERNS = {"qwen2": _WORDS + r"\p{N}" + _REST, "llama-bpe": _WORDS + r"\p{N}{1,3}" + _REST}
"""How text is cut before its pieces are merged: Qwen2's way and Llama 3's."""
_AS_GPT2 = (None, "default", "gpt-2")


def read_gguf(path: Path, dtype: Any) -> tuple[Any, Any]:
    """Read a GGUF file into a plain model, which, unlike the one transformers returns, saves."""
    with contextlib.redirect_stderr(io.StringIO()):  # two seconds' bars that have no switch
        quantised = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=dtype
        )
    config = _plain(quantised.config)
    config._name_or_path = path.stem
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config
    del quantised
    release_freed_memory()  # what reading the file took is as much as the model
    return model, gguf_tokenizer(path)


def gguf_config(path: Path) -> Any:
    """Its config alone."""
    return _plain(AutoConfig.from_pretrained(path.parent, gguf_file=path.name))


def gguf_tokenizer(path: Path) -> Any:
    """Its tokenizer alone, cutting text in the way that the file names.

    transformers goes by the architecture, and reads SmolLM's way as GPT-2's. A way that is not
    known here is left as transformers reads it, and a line says so. Llama 3's is by its published
    pattern: no file of it was at hand.
    """
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    way = named_way(path)
    if way == "smollm":
        return isolating_digits(tokenizer)
    if way in _PATTERNS:
        split = Split(Regex(_PATTERNS[way]), "isolated")
        byte_level = ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence([split, byte_level])
    elif way not in _AS_GPT2:
        console.print(
            f"note: {path.name} cuts text as {way!r} does, which is not known here: numbers and "
            "spaces may become other tokens than the model was trained on",
            soft_wrap=True,
        )
    return tokenizer


def named_way(path: Path) -> str | None:
    """By which name the file says how text is cut before its pieces are merged."""
    from gguf import GGUFReader

    field = GGUFReader(str(path)).fields.get("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def isolating_digits(tokenizer: Any) -> Any:
    r"""As SmolLM was trained: each digit by itself first, then what is between as GPT-2 does.

    Read as GPT-2's it cuts "\n\n1" into three tokens, not two.
    """
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _plain(config: Any) -> Any:
    """A GGUF file's config as that of the model it is dequantised to."""
    content = config.to_dict()
    content.pop("quantization_config", None)
    return AutoConfig.for_model(**content)
