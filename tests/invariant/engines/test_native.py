"""What the native engine promises beyond the common contract: fallbacks, bounds, fast paths."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from rlsc.config.engine import EngineArguments
from rlsc.engines import SamplingParams, create_engine, resolve_engine
from rlsc.engines import packed as packed_module
from rlsc.engines.hf import HFEngine
from rlsc.engines.native import prefill, shared_prefix
from rlsc.engines.native.engine import NativeEngine
from rlsc.engines.native.kv_cache import BLOCK, RolloutCache
from rlsc.engines.native.prefill import PromptForward, common_beginning
from rlsc.engines.packed import PackedLinears
from rlsc.errors import ConfigError, ModelError, ShardedModelError
from rlsc.models import cache_argument
from rlsc.runtime import console
from rlsc.types import Prompt
from tests.conftest import VOCABULARY, tiny_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
PROMPTS = [Prompt(str(n), "", tuple((5 * i + n) % 20 + 3 for i in range(n))) for n in (1, 9, 40)]


def params(**changes) -> SamplingParams:
    settings = {"max_new_tokens": 24, "stop_token_ids": (0, 5), "temperature": 0.7} | changes
    return SamplingParams(**settings)


def made(model_type: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": VOCABULARY}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape, **changes))


# Its sliding window is in the mask alone.
UNTOLD_WINDOW = {
    "layer_types": ["sliding_attention"] * 2,
    "sliding_window": 6,
    "use_sliding_window": True,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
}


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("bloom", {"n_head": 4}),  # positions are a term of the scores
        ("mamba", {"state_size": 4}),  # no attention at all
        (  # its window is in the mask alone
            "qwen2_moe",
            UNTOLD_WINDOW,
        ),
    ],
)
def test_a_family_that_it_cannot_serve_falls_to_hf(
    model_type: str, changes: dict[str, object], capsys: pytest.CaptureFixture
) -> None:
    model = made(model_type, **changes).eval()
    with pytest.raises(ModelError):
        NativeEngine(model, TOKENIZER, torch.float32)
    console.print()  # a log that was silent for long would be told that an engine starts
    engine = create_engine(EngineArguments(), model, TOKENIZER, torch.float32)
    assert isinstance(engine, HFEngine)
    line = " ".join(capsys.readouterr().out.split())
    assert line.startswith(f"the native engine can't serve {type(model).__name__}: ")
    assert line.endswith("; using hf")
    (group,) = engine.generate(PROMPTS[1:2], 2, params(max_new_tokens=3), [1])
    assert len(group.completions) == 2


def test_a_model_whose_forward_differs_is_refused() -> None:
    """The check at the start catches what no config tells."""
    model = tiny_model()
    attention = model.model.layers[1].self_attn
    plain = attention.forward

    cache = cache_argument(model)

    def odd(*args, position_embeddings, **kwargs):
        if kwargs[cache] is not None:  # other positions, but only where there is a cache
            position_embeddings = tuple(torch.roll(x, 1, -1) for x in position_embeddings)
        return plain(*args, position_embeddings=position_embeddings, **kwargs)

    attention.forward = odd
    with pytest.raises(ModelError, match="log-probs are off by"):
        NativeEngine(model, TOKENIZER, torch.float32)


def test_sharded_weights_are_refused_by_name() -> None:
    model = tiny_model()
    next(model.parameters()).ds_id = 0  # as ZeRO-3 marks them
    for engine in ("native", "hf"):
        with pytest.raises(ShardedModelError, match="--engine vllm"):
            create_engine(EngineArguments(engine=engine), model, TOKENIZER, torch.float32)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_packed_weights_change_nothing_but_rounding(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(family)
    setting = params(stop_token_ids=())
    packed = NativeEngine(model, TOKENIZER, torch.float32).generate(PROMPTS, 3, setting, [1, 2, 3])
    monkeypatch.setattr(packed_module, "_SHARE", 0.0)  # as where memory is short
    assert PackedLinears.of(model) is None
    plain = NativeEngine(model, TOKENIZER, torch.float32).generate(PROMPTS, 3, setting, [1, 2, 3])
    for one, other in zip(packed, plain, strict=True):
        for a, b in zip(one.completions, other.completions, strict=True):
            assert a.token_ids == b.token_ids
            assert a.logps == pytest.approx(b.logps, abs=1e-4)


@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("base", [torch.float32, torch.bfloat16])
def test_adapters_are_sampled_with(base: torch.dtype, use_dora: bool) -> None:
    """Adapters stay in float32 over a bfloat16 base; DoRA reads the weights it wraps."""
    model = get_peft_model(tiny_model().to(base), LoraConfig(use_dora=use_dora)).eval()
    adapters = [one for name, one in model.named_parameters() if "lora_B" in name]
    engine = create_engine(EngineArguments(), model, TOKENIZER, torch.bfloat16)
    assert isinstance(engine, NativeEngine)
    for step in range(3):
        (group,) = engine.generate(PROMPTS[1:2], 2, params(temperature=1.0), [1])
        for one in group.completions:
            ids = torch.tensor([group.prompt.token_ids + one.token_ids])
            with torch.no_grad():
                logits = model(input_ids=ids).logits[0, len(group.prompt.token_ids) - 1 : -1]
            logps = logits.float().log_softmax(-1)[range(len(one.token_ids)), list(one.token_ids)]
            difference = (torch.tensor(one.logps) - logps).abs().mean()
            assert difference < 0.02 * logits.abs().max(), step
        with torch.no_grad():
            for parameter in adapters:  # a step, to another policy
                parameter.add_(0.3 * torch.randn_like(parameter))
        engine.sync(model)


def test_packed_weights_are_lent_and_taken_back() -> None:
    model = tiny_model()
    packed = PackedLinears.of(model)
    assert packed is not None
    layer = model.model.layers[0].mlp.up_proj
    x = torch.randn(3, 5, layer.in_features)
    expected = layer(x)
    with torch.no_grad():
        layer.weight.mul_(2)  # not packed anew: the loan gives what was packed
        with packed.lent():
            assert torch.allclose(layer(x), expected, atol=1e-5)
            assert torch.allclose(layer(x[:1, :1]), expected[:1, :1], atol=1e-5)
        assert torch.allclose(layer(x), 2 * expected, atol=1e-5)
        packed.pack(model)
        with packed.lent():
            assert torch.allclose(layer(x), 2 * expected, atol=1e-5)


@pytest.mark.parametrize("memory_gb", [None, 1e-9, 2.5e-4])
def test_the_memory_budget_bounds_the_rows(
    memory_gb: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer rows at once, down to one, and the same texts."""
    model = tiny_model()
    seen = []
    plain = torch.nn.Module.__call__

    def watched(self, *args, **kwargs):
        if self is model and kwargs["input_ids"].shape[1] == 1:
            seen.append(len(kwargs["input_ids"]))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "__call__", watched)
    caches = []
    make = RolloutCache.__init__

    def keep(self, *args):
        caches.append(self)
        make(self, *args)

    monkeypatch.setattr(RolloutCache, "__init__", keep)
    engine = NativeEngine(model, TOKENIZER, torch.float32, 64, memory_gb)
    seen.clear()
    groups = engine.generate(PROMPTS, 8, params(), [1, 2, 3])
    assert (memory_gb == 1e-9) == (max(seen) == 1)
    if memory_gb != 1e-9:  # which is less than one row
        held = sum(
            buffer.nbytes
            for layer in caches[-1].layers
            for buffer in (
                *(layer.prompt_keys, layer.prompt_values),
                *(*layer.key_blocks, *layer.value_blocks),
            )
        )
        assert held <= (1 if memory_gb is None else memory_gb) * 1e9
    roomy = NativeEngine(model, TOKENIZER, torch.float32, 64).generate(
        PROMPTS, 8, params(), [1, 2, 3]
    )
    assert [[c.token_ids for c in g.completions] for g in groups] == [
        [c.token_ids for c in g.completions] for g in roomy
    ]


def test_siblings_that_agree_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a temperature near 0 sixteen siblings cost one row a step."""
    model = tiny_model()
    engine = NativeEngine(model, TOKENIZER, torch.float32)
    rows = []
    plain = torch.nn.Module.__call__

    def watched(self, *args, **kwargs):
        if self is model:
            rows.append(len(kwargs["input_ids"]))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "__call__", watched)
    (group,) = engine.generate(PROMPTS[1:2], 16, params(temperature=1e-4), [1])
    assert len({c.token_ids for c in group.completions}) == 1
    assert set(rows) == {1}
    rows.clear()
    (group,) = engine.generate(PROMPTS[1:2], 16, params(temperature=1.5), [1])
    assert max(rows) > 8
    prefixes = {c.token_ids[:n] for c in group.completions for n in range(len(c.token_ids))}
    assert sum(rows) == len(prefixes)  # each once, the prompt among them


def test_completions_longer_than_a_block() -> None:
    """Several blocks of keys, rows of uneven lengths: log-probs as of a plain forward."""
    model = tiny_model(max_position_embeddings=512)
    setting = params(max_new_tokens=2 * BLOCK + 5, stop_token_ids=(), temperature=1.0)
    engine = NativeEngine(model, TOKENIZER, torch.float32, max_rows=5)
    groups = engine.generate(PROMPTS, 4, setting, [1, 2, 3])
    # A token that is drawn now and then ends them at various lengths.
    counts = Counter(token for group in groups for c in group.completions for token in c.token_ids)
    rare = min(counts, key=lambda token: abs(counts[token] - len(PROMPTS) * 4))
    groups = engine.generate(PROMPTS, 4, replace(setting, stop_token_ids=(rare,)), [1, 2, 3])
    lengths = {len(c.token_ids) for group in groups for c in group.completions}
    assert max(lengths) > BLOCK + 8
    assert len(lengths) > 3
    # The same text with other rows beside it, across blocks too.
    ending = replace(setting, stop_token_ids=(rare,))
    others = NativeEngine(model, TOKENIZER, torch.float32, 64).generate(
        PROMPTS[:2], 4, ending, [1, 2]
    )
    for one, other in zip(groups, others, strict=False):
        assert [c.token_ids for c in one.completions] == [c.token_ids for c in other.completions]
    for group in groups:
        for one in group.completions:
            ids = torch.tensor([group.prompt.token_ids + one.token_ids])
            with torch.no_grad():
                logits = model(ids).logits[0, len(group.prompt.token_ids) - 1 : -1]
            expected = logits.log_softmax(-1)[range(len(one.token_ids)), list(one.token_ids)]
            assert torch.allclose(torch.tensor(one.logps), expected, atol=1e-4)


def with_a_common_beginning(common: int) -> list[Prompt]:
    """Of one template: the shortest is the beginning of another, and two are the same."""
    start = tuple(7 * i % 20 + 3 for i in range(common))
    ends = ((4,), (4, 9), (4, 9), (6, 6, 8), tuple(range(3, 23)), (9,) * 70)
    return [Prompt(str(index), "", start + end) for index, end in enumerate(ends)]


@pytest.mark.filterwarnings("error::FutureWarning")  # of names that transformers is to remove
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "gemma2", "gemma3"])
def test_a_common_beginning_is_computed_once_and_changes_no_bit(
    family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rows of whole pairs of vector registers: what is left over takes another path to its exp.
    model = tiny_model(family, max_position_embeddings=512, n_positions=512, intermediate_size=64)
    prompts = with_a_common_beginning(45)
    assert common_beginning([one.token_ids for one in prompts]) == 45
    engine = NativeEngine(model, TOKENIZER, dtype)
    tokens = 0
    plain = PromptForward._forward

    def watched(self, questions, start, stop):
        nonlocal tokens
        tokens += sum(len(one.prompt.token_ids[start:stop]) for one in questions)
        return plain(self, questions, start, stop)

    monkeypatch.setattr(PromptForward, "_forward", watched)
    together = engine.generate(prompts, 2, params(), range(6))
    assert tokens == 45 + sum(len(one.token_ids) - 45 for one in prompts)
    for seed, (prompt, group) in enumerate(zip(prompts, together, strict=True)):
        tokens = 0
        (alone,) = engine.generate([prompt], 2, params(), [seed])
        assert tokens == len(prompt.token_ids)
        for one, other in zip(group.completions, alone.completions, strict=True):
            assert one.token_ids == other.token_ids
            assert one.logps == other.logps


def test_a_common_beginning_leaves_each_prompt_a_token() -> None:
    assert common_beginning([]) == 0
    assert common_beginning([(5, 6, 7)]) == 2
    assert common_beginning([(5, 6, 7), (5, 6, 7)]) == 2
    assert common_beginning([(5, 6, 7), (5, 6), (5, 6, 8, 9)]) == 1
    assert common_beginning([(5, 6, 7), (4, 6, 7)]) == 0


@pytest.mark.parametrize("window", [None, 40])
def test_long_prompts_are_computed_in_parts(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores held a few queries at a time, prompts over several forwards: the same to the bit."""
    family, changes = ("llama", {}) if window is None else ("gemma2", {"sliding_window": window})
    model = tiny_model(family, max_position_embeddings=512, **changes)
    prompts = [Prompt(str(n), "", tuple((5 * i + n) % 20 + 3 for i in range(n))) for n in (300, 90)]
    engine = NativeEngine(model, TOKENIZER, torch.float32)
    whole = engine.generate(prompts, 2, params(), [1, 2])
    monkeypatch.setattr(prefill, "_TOKENS", 100)
    monkeypatch.setattr(shared_prefix, "_QUERIES", 64)
    for group, other in zip(whole, engine.generate(prompts, 2, params(), [1, 2]), strict=True):
        assert group == other
        for one in group.completions:
            ids = torch.tensor([group.prompt.token_ids + one.token_ids])
            with torch.no_grad():
                logits = model(ids, use_cache=False).logits[0, len(group.prompt.token_ids) - 1 : -1]
            logps = (logits / 0.7).log_softmax(-1)[range(len(one.token_ids)), list(one.token_ids)]
            assert torch.allclose(torch.tensor(one.logps), logps, atol=1e-4)


def test_prompts_that_end_at_once() -> None:
    model = tiny_model()
    every = tuple(range(VOCABULARY))
    groups = NativeEngine(model, TOKENIZER, torch.float32, 4).generate(
        PROMPTS, 3, params(stop_token_ids=every), [1, 2, 3]
    )
    assert {len(c.token_ids) for g in groups for c in g.completions} == {1}
    assert {c.finish_reason for g in groups for c in g.completions} == {"stop"}


def test_auto_and_a_missing_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert resolve_engine("auto") == "native"
    with pytest.raises(ConfigError, match=r"pip install 'rlsc\[vllm\]'"):
        create_engine(EngineArguments(engine="vllm"), tiny_model(), TOKENIZER, torch.float32)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_engine("auto") == "vllm"
    assert resolve_engine("hf") == "hf"
