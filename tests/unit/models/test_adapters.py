"""Adapters: settings that cannot work, and merging that loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from rlsc.errors import ConfigError
from rlsc.models.adapters import lora_config, save_merged
from tests.conftest import tiny_model, tiny_tokenizer


def test_a_head_that_is_the_embedding_is_refused() -> None:
    tied = tiny_model(tie_word_embeddings=True)
    with pytest.raises(ConfigError, match=r"lm_head shares its weights with model\.embed_tokens"):
        lora_config(tied, 4, 8, "q_proj, lm_head")
    with pytest.raises(ConfigError, match="embed_tokens shares its weights with lm_head"):
        lora_config(tied, 4, 8, "embed_tokens")
    assert lora_config(tied, 4, 8, "q_proj").target_modules == {"q_proj"}
    assert lora_config(tiny_model(), 4, 8, "lm_head").target_modules == {"lm_head"}


def test_small_changes_of_a_bfloat16_base_survive_the_merge(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = tiny_model().to(torch.bfloat16)
    before = {name: value.float().clone() for name, value in base.state_dict().items()}
    model = get_peft_model(base, lora_config(base, 4, 8, "q_proj"))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_(std=1e-4)
    delta = layer.get_delta_weight("default").detach().float()
    save_merged(model, tiny_tokenizer(), tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).state_dict()
    name = "model.layers.0.self_attn.q_proj.weight"
    error = (merged[name] - before[name] - delta).norm() / delta.norm()
    assert error < 1e-2
