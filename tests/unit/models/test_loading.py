"""Finding a model, and saying so in one line when there is none."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from rlsc.errors import ModelError
from rlsc.models import loading as models
from rlsc.models.loading import (
    context_length,
    disable_dropout,
    load_config,
    load_model,
    load_tokenizer,
    weights_hash,
)
from tests.conftest import tiny_model


def test_a_folder_loads(tiny_folder: Path) -> None:
    model, tokenizer, origin = load_model(str(tiny_folder), torch.bfloat16)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert tokenizer.eos_token == "<end>"
    assert origin == str(tiny_folder)
    assert context_length(model) == 128


@pytest.mark.parametrize(
    ("missing", "message"),
    [("model.safetensors", "no weights"), ("config.json", "no config.json")],
)
def test_a_folder_without_its_files_is_named(tiny_folder: Path, missing: str, message: str) -> None:
    (tiny_folder / missing).unlink()
    with pytest.raises(ModelError, match=message):
        load_model(str(tiny_folder))


def test_damaged_weights_are_named(tiny_folder: Path) -> None:
    (tiny_folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot load the model"):
        load_model(str(tiny_folder))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        load_model(str(tmp_path / "nowhere"))


def test_neither_package_nor_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> None:
        raise ModelError("offline")

    monkeypatch.setattr(models, "embedded_file", lambda: None)
    monkeypatch.setattr(models, "_load", offline)
    with pytest.raises(ModelError, match="no default model") as caught:
        load_model()
    assert "\n" not in str(caught.value)


def test_dropout_goes() -> None:
    model = tiny_model("gpt2").train()
    tokens = torch.tensor([[5, 6, 7, 8]])
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
    disable_dropout(model)
    assert torch.equal(model(tokens).logits, model(tokens).logits)


def test_a_pointer_of_git_lfs_is_no_weights(tiny_folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 98112\n"
    (tiny_folder / "model.safetensors").write_text(text)
    with pytest.raises(ModelError, match="is a pointer of Git LFS, not the file: run git lfs pull"):
        load_model(str(tiny_folder))


def test_a_revision_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict] = []

    def refuse(name: str, **how: object) -> None:
        asked.append({"name": name, **how})
        raise OSError("offline")

    for kind in (models.AutoConfig, models.AutoTokenizer):
        monkeypatch.setattr(kind, "from_pretrained", refuse)
    for load in (load_model, load_config, load_tokenizer):
        with pytest.raises(ModelError, match="offline"):
            load("org/name", revision="v1.0")
    assert [call["revision"] for call in asked] == ["v1.0"] * 3
    with pytest.raises(ModelError):
        load_model("org/name")
    assert "revision" not in asked[-1]


def test_a_gguf_file_is_dequantised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reading itself is tested on the embedded model's file."""
    file = tmp_path / "x.gguf"
    with pytest.raises(ModelError, match="no GGUF file at"):
        load_model(str(file))
    file.write_bytes(b"no gguf")
    with pytest.raises(ModelError, match=r"cannot load the model .*x\.gguf"):
        load_model(str(file))
    monkeypatch.setattr(models, "read_gguf", lambda path, dtype: (path, dtype))
    model, tokenizer, origin = load_model(str(file), torch.bfloat16)
    assert (model, tokenizer, origin) == (file, torch.bfloat16, f"{file}, dequantised")


def test_the_hash_of_a_model_is_of_all_that_is_computed() -> None:
    """Weights, the config beside them and the tokens that end a text; not where it is from."""
    model, same = tiny_model(), tiny_model()
    known = weights_hash(model)
    same.config._name_or_path, same.config.use_cache = "elsewhere", False
    assert weights_hash(same) == known
    other = tiny_model()
    other.config.rms_norm_eps = 0.5
    assert weights_hash(other) != known
    other = tiny_model()
    other.generation_config.eos_token_id = [0, 5]
    assert weights_hash(other) != known
    other = tiny_model()
    with torch.no_grad():
        other.lm_head.weight[0, 0] += 1e-3
    assert weights_hash(other) != known


def test_the_hash_of_a_model_is_of_the_code_that_came_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, source: str) -> ModuleType:
        file = tmp_path / f"{name}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(f"transformers_modules.{name}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    load("own.helper", "scale = 1\n")
    load("another.helper", "scale = 1\n")
    layers = "from transformers import LlamaForCausalLM\nclass Own(LlamaForCausalLM): ...\n"
    own = load("own.modeling", layers).Own(tiny_model().config)
    hashes = [weights_hash(own), weights_hash(own)]
    for name in ("another.helper", "own.helper", "own.modeling"):
        with (tmp_path / f"{name}.py").open("a") as file:
            file.write("# edited\n")
        hashes.append(weights_hash(own))
    assert len(set(hashes[:3])) == 1
    assert len(set(hashes[2:])) == 3


def test_the_hash_of_4_bit_weights_is_also_of_their_scales(tiny_folder: Path) -> None:
    pytest.importorskip("bitsandbytes")
    hashes = []
    for factor in (1.0, 2.0):
        model = tiny_model()
        with torch.no_grad():
            model.model.layers[0].self_attn.q_proj.weight.mul_(factor)
        model.save_pretrained(tiny_folder)
        hashes.append(weights_hash(load_model(str(tiny_folder), load_in_4bit=True)[0]))
    assert hashes[0] != hashes[1]


def test_4_bits_are_laid_out_for_no_other_product(tiny_folder: Path) -> None:
    """bitsandbytes would, on CPUs with bfloat16 products, once a layer computes no gradient."""
    nn = pytest.importorskip("bitsandbytes.nn")
    assert hasattr(nn.Linear4bit(2, 2), "support_avx512bf16_for_cpu"), "it has another name now"
    model = load_model(str(tiny_folder), load_in_4bit=True)[0]
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear4bit)]
    assert layers
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_any_file_of_a_folder_may_be_a_pointer(tiny_folder: Path, name: str) -> None:
    (tiny_folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(ModelError, match=f"{name} is a pointer of Git LFS"):
        load_model(str(tiny_folder))
