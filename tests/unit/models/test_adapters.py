"""Adapters: settings that cannot work, and merging that loses nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from rlsc.errors import ConfigError
from rlsc.models.adapters import load_adapter, lora_config, save_merged, with_adapter
from tests.conftest import tiny_model, tiny_tokenizer


def test_a_weight_of_two_layers_takes_no_adapter(tmp_path: Path) -> None:
    """A merge would change the other layer too; also where the adapter is given."""
    for name, other in (("lm_head", "model.embed_tokens"), ("embed_tokens", "lm_head")):
        tied = tiny_model(tie_word_embeddings=True)
        message = rf"{name} shares its weights with {re.escape(other)}"
        with pytest.raises(ConfigError, match=message):
            with_adapter(tied, lora_config(tied, 4, 8, f"q_proj, {name}"), 0)
        tied = tiny_model(tie_word_embeddings=True)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=[name])
        get_peft_model(tied, config).save_pretrained(tmp_path / name)
        with pytest.raises(ConfigError, match=message):
            load_adapter(tiny_model(tie_word_embeddings=True), str(tmp_path / name), True)
    for model, name in (
        (tiny_model(tie_word_embeddings=True), "q_proj"),
        (tiny_model(), "lm_head"),
    ):
        with_adapter(model, lora_config(model, 4, 8, name), 0)
    with pytest.raises(ConfigError, match="peft_config"):
        with_adapter(tiny_model(), {"r": 2}, 0)


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
