"""Tiny models and tokenizers: every path of the library in milliseconds, without a hub."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A worker of pytest-xdist a core, and the processes that tests start: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.masking_utils import eager_mask

CHARACTERS = "0123456789+=?. WhatisTe\n"
SPECIAL = ["<end>", "<user>", "<assistant>"]
VOCABULARY = len(SPECIAL) + len(dict.fromkeys(CHARACTERS))
TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<end>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Character-level, with a chat template whose turns end in <end> (id 0)."""
    tokens = [*SPECIAL, *dict.fromkeys(CHARACTERS)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<end>",
        additional_special_tokens=SPECIAL[1:],
    )
    fast.chat_template = TEMPLATE
    return fast


EXACT = "exact"


def exact_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """As transformers' eager ones, all in the query's own dtype."""
    groups = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(groups, 1) for each in (key, value))
    scores = query @ key.mT * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(EXACT, exact_attention)
AttentionMaskInterface.register(EXACT, eager_mask)


def tiny_model(family: str = "llama", seed: int = 0, **changes: object) -> torch.nn.Module:
    """A random model of `family` in float32. Wide initialisation: confident, varied outputs."""
    torch.manual_seed(seed)
    common = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    common["initializer_range"] = 0.4
    if family == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
    else:
        shape = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
        }
    if family not in ("gpt2", "llama", "qwen2"):
        shape["head_dim"] = 16
    if family in ("gemma2", "gemma3"):  # half of the layers see only a window
        shape |= {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
    name = {"gemma3": "gemma3_text"}.get(family, family)
    config = AutoConfig.for_model(name, **(common | shape | changes))
    model = AutoModelForCausalLM.from_config(config).eval()
    if model.config._attn_implementation == "eager" and "attn_implementation" not in changes:
        # As Gemma 2 from transformers 5.24 on: it rounds to float32, and proofs are in float64.
        model.set_attn_implementation(EXACT)
    return model


FAMILIES = ("llama", "qwen2", "gpt2")


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return tiny_model(request.param)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A tiny Llama with its tokenizer, saved as a user's model folder."""
    folder = tmp_path / "tiny-model"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def shared_data() -> Path:
    """Real benchmark files, kept beside the checkout and not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"benchmark data is not at {DATA}")
    return DATA


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: of two workers none is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


def pytest_collection_finish() -> None:
    """What imports and collection made stays: thousands of collections of garbage skip it."""
    gc.collect()
    gc.freeze()
