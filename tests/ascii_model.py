"""A tiny model that reads and writes all of ASCII, with room for every template."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.conftest import SPECIAL, TEMPLATE

TOKENS = [*SPECIAL, *string.printable]
CONTEXT = 4096


def ascii_tokenizer(chat: bool = True, pairs: bool = False) -> PreTrainedTokenizerFast:
    """Character-level; <end> (id 0) ends a text and a turn.

    With `pairs`, capitals and some signs are written as two characters: a stop string can begin
    and end within such a token.
    """
    tokens = [t + t.lower() if pairs and t.isupper() else t for t in TOKENS]
    backend = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<end>", additional_special_tokens=SPECIAL[1:]
    )
    tokenizer.chat_template = TEMPLATE if chat else None
    return tokenizer


def ascii_model(seed: int = 0, scale: float = 0.4) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=scale,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def save_ascii_model(folder: Path, chat: bool = True, seed: int = 0) -> Path:
    """As a user's model folder."""
    ascii_model(seed).save_pretrained(folder)
    ascii_tokenizer(chat).save_pretrained(folder)
    return folder
