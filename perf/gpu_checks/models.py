"""Models of known shape with random weights, and a tokenizer of bytes: no hub is asked.

For speed, memory and equality the values of weights do not matter, as long as the distribution of
the next token depends on all that came before it: `random_model`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

_QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 151_936,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
_LLAMA: dict[str, Any] = {"model_type": "llama", "tie_word_embeddings": True}


def _sizes(hidden: int, inner: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b": _QWEN | _sizes(896, 4864, 24, 14),
    "qwen2.5-1.5b": _QWEN | _sizes(1536, 8960, 28, 12),
    "smollm2-135m": _LLAMA
    | _sizes(576, 1536, 30, 9)
    | {"num_key_value_heads": 3, "vocab_size": 49_152, "max_position_embeddings": 8192}
    | {"rope_theta": 1e5, "rms_norm_eps": 1e-5},
    "tiny": _LLAMA | _sizes(32, 64, 2, 4) | {"num_key_value_heads": 2, "vocab_size": 320},
}
_SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>")
_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_SPREAD = 2.5
"""Standard deviation of a random model's logits: a pretrained one's is of that order."""
_GAIN = 0.8
"""Of a product of normalised states with a random matrix. At 1.5 rounding grows from layer to layer
until it hides what it is compared with; at 0.2 a layer adds too little for a wrong mask to show."""


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, with a chat template; <|end|> ends a turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: index for index, token in enumerate([*_SPECIAL, *alphabet])}
    backend = Tokenizer(models.BPE(ids, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=_SPECIAL[0],
        pad_token=_SPECIAL[0],
        additional_special_tokens=list(_SPECIAL[1:]),
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def random_model(preset: str, device: str, dtype: torch.dtype) -> Any:
    """Weights and a last norm of such a scale that log-probs depend on every token before.

    At transformers' own scale a small model's layers add next to nothing, and all logits are
    nearly 0: the log-probs would be the same under a wrong mask or position.
    """
    shape = PRESETS[preset]
    special = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    scale = _GAIN / shape["hidden_size"] ** 0.5
    config = AutoConfig.for_model(**shape, **special, initializer_range=scale)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.get_decoder().norm.weight.data.fill_(_SPREAD / _GAIN)
    return model


def save_random_model(preset: str, device: str, folder: Path) -> None:
    """As a user's model folder, in bfloat16: that size on the disk, and read by all that reads."""
    random_model(preset, device, torch.bfloat16).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
