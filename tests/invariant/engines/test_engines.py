"""Engines against `generate`, against the training forward, and against each other."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
import torch
from scipy import stats

from rlsc.engines import SamplingParams, seed_for
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.engines.native.sampling import sample_tokens
from rlsc.errors import NonFiniteError
from rlsc.logprobs.padded_rows import make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.types import Prompt
from tests.conftest import FAMILIES, VOCABULARY, tiny_model, tiny_tokenizer

CPU = torch.device("cpu")
ENGINE_FAMILIES = (*FAMILIES, "qwen3", "gemma", "gemma2", "gemma3")
TOKENIZER = tiny_tokenizer()
PROMPTS = [
    Prompt(str(length), "", tuple((7 * i + length) % (VOCABULARY - 3) + 3 for i in range(length)))
    for length in (1, 9, 4, 9)
]
SEEDS = [seed_for(0, 0, prompt.id, i) for i, prompt in enumerate(PROMPTS)]
STOPS = (0, 5)


@pytest.fixture(params=ENGINE_FAMILIES)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return tiny_model(request.param)


def params(**changes) -> SamplingParams:
    settings = {"max_new_tokens": 24, "stop_token_ids": STOPS, "temperature": 0.5} | changes
    return SamplingParams(**settings)


def engines(model, dtype=torch.float32, max_rows=256):
    return [cls(model, TOKENIZER, dtype, max_rows) for cls in (NativeEngine, HFEngine)]


def ids(groups):
    return [[c.token_ids for c in group.completions] for group in groups]


def test_greedy_is_that_of_generate_token_for_token(model) -> None:
    """Ragged prompts in one batch against one plain `generate` call each."""
    greedy = params(temperature=0.0, max_new_tokens=40)
    expected = []
    for prompt in PROMPTS:
        output = model.generate(
            torch.tensor([prompt.token_ids]),
            attention_mask=torch.ones(1, len(prompt.token_ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=40,
            eos_token_id=list(STOPS),
            pad_token_id=0,
        )[0, len(prompt.token_ids) :].tolist()
        expected.append([tuple(output)])
    assert len({len(row[0]) for row in expected}) > 1 or len(expected[0][0]) == 40
    for engine in engines(model):
        assert ids(engine.generate(PROMPTS, 1, greedy, SEEDS)) == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_sampled_log_probs_are_those_of_the_training_forward(model, temperature: float) -> None:
    for engine in engines(model):
        groups = []
        # Cut off, ended, and ended often: confident models draw few kinds of tokens.
        every_second = tuple(range(0, VOCABULARY, 2))
        for cap, stops in ((2, ()), (24, STOPS), (24, every_second)):
            setting = params(temperature=temperature, max_new_tokens=cap, stop_token_ids=stops)
            groups += engine.generate(PROMPTS, 3, setting, SEEDS)
        batch = pad(make_rows(groups, merge_duplicates=False))
        logps = score_completions(model, batch, temperature).logps_BT
        completions = [c for group in groups for c in group.completions]
        assert len({c.finish_reason for c in completions}) == 2
        for completion, row in zip(completions, logps, strict=True):
            engine_logps = torch.tensor(completion.logps)
            assert torch.allclose(engine_logps, row[: len(engine_logps)], atol=1e-4)


def test_sampled_log_probs_in_bf16(model) -> None:
    """A bf16 copy against the fp32 forward: bf16 keeps 8 bits, so 2 % of the logits' scale."""
    scale = model(torch.tensor([PROMPTS[1].token_ids])).logits.abs().max().item()
    for engine in engines(model, torch.bfloat16):
        groups = engine.generate(PROMPTS, 3, params(), SEEDS)
        batch = pad(make_rows(groups, merge_duplicates=False))
        logps = score_completions(model, batch, 0.5).logps_BT
        for completion, row in zip((c for g in groups for c in g.completions), logps, strict=True):
            difference = torch.tensor(completion.logps) - row[: len(completion.logps)]
            assert difference.abs().mean() < 0.02 * scale / 0.5
    assert next(model.parameters()).dtype == torch.float32


def test_the_same_seed_gives_the_same_text(model) -> None:
    for engine in engines(model):
        first = engine.generate(PROMPTS, 2, params(), SEEDS)
        again = engine.generate(PROMPTS, 2, params(), SEEDS)
        other = engine.generate(PROMPTS, 2, params(), [seed + 1 for seed in SEEDS])
        assert ids(first) == ids(again) != ids(other)


def test_native_text_does_not_depend_on_its_neighbours(model) -> None:
    """In fp32: alone, in small batches, with fewer siblings, with a lower cap."""
    whole = ids(NativeEngine(model, TOKENIZER, torch.float32).generate(PROMPTS, 4, params(), SEEDS))
    for max_rows in (1, 5):
        engine = NativeEngine(model, TOKENIZER, torch.float32, max_rows)
        assert ids(engine.generate(PROMPTS, 4, params(), SEEDS)) == whole
    engine = NativeEngine(model, TOKENIZER, torch.float32)
    assert ids(engine.generate(PROMPTS[1:2], 2, params(), SEEDS[1:2])) == [whole[1][:2]]
    short = engine.generate(PROMPTS, 4, params(max_new_tokens=3), SEEDS)
    assert ids(short) == [[y[:3] for y in group] for group in whole]


@pytest.mark.parametrize(
    ("family", "temperature"), [("llama", 0.5), ("qwen3", 1.0), ("gemma2", 8.0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_native_is_the_same_to_the_bit_in_any_company(
    family: str, temperature: float, dtype: torch.dtype
) -> None:
    """Sizes that fill vector registers, as every real model's do; on a CPU with packed weights."""
    sizes = {"hidden_size": 64, "intermediate_size": 192, "head_dim": 32, "vocab_size": 320}
    model = tiny_model(family, initializer_range=0.2, max_position_embeddings=1024, **sizes)
    prompts = [
        Prompt(str(length), "", tuple((7 * i + length) % 320 for i in range(length)))
        for length in (1, 200, 31, 32, 900)
    ]
    setting = params(max_new_tokens=48, stop_token_ids=tuple(range(16)), temperature=temperature)
    seeds = range(len(prompts))
    whole = NativeEngine(model, TOKENIZER, dtype).generate(prompts, 4, setting, seeds)
    assert len({len(c.token_ids) for group in whole for c in group.completions}) > 10
    for max_rows in (1, 7):
        engine = NativeEngine(model, TOKENIZER, dtype, max_rows)
        assert engine.generate(prompts, 4, setting, seeds) == whole
    for prompt, seed, group in zip(prompts, seeds, whole, strict=True):
        (alone,) = engine.generate([prompt], 2, setting, [seed])
        assert alone.completions == group.completions[:2]


def test_the_cap_and_the_stop_tokens_end_a_completion(model) -> None:
    for engine in engines(model):
        groups = engine.generate(PROMPTS, 4, params(max_new_tokens=6, temperature=1.5), SEEDS)
        for completion in (c for group in groups for c in group.completions):
            assert 1 <= len(completion.token_ids) <= 6
            assert len(completion.logps) == len(completion.token_ids)
            assert not set(completion.token_ids[:-1]) & set(STOPS)
            stopped = completion.token_ids[-1] in STOPS
            assert completion.finish_reason == ("stop" if stopped else "length")
            assert stopped or len(completion.token_ids) == 6


def test_progress_counts_every_completion() -> None:
    for engine in engines(tiny_model(), max_rows=5):
        done: list[int] = []
        engine.generate(PROMPTS, 3, params(), SEEDS, done.append)
        assert sum(done) == 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sync_takes_over_new_weights(dtype: torch.dtype) -> None:
    model = tiny_model()
    for engine, reference in zip(engines(model, dtype), engines(model, dtype), strict=True):
        before = ids(reference.generate(PROMPTS, 2, params(), SEEDS))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        engine.sync(model)
        fresh = type(engine)(model, TOKENIZER, dtype)
        after = ids(engine.generate(PROMPTS, 2, params(), SEEDS))
        assert after == ids(fresh.generate(PROMPTS, 2, params(), SEEDS)) != before


def test_sampling_leaves_training_mode_and_the_random_stream_alone(model) -> None:
    model.train()
    for engine in engines(model):
        state = torch.random.get_rng_state()
        engine.generate(PROMPTS, 2, params(), SEEDS)
        assert model.training
        assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("vocabulary", [6, 700])
@pytest.mark.parametrize("filters", [{}, {"top_p": 0.9}, {"top_k": 3}])
def test_the_sampler_draws_the_right_distribution(
    filters: dict[str, float], vocabulary: int
) -> None:
    """χ² of 40,000 draws from each of 40 distributions against the softmax worked out by hand."""
    n, temperature, rows = 40_000, 0.7, 40
    generator = torch.Generator().manual_seed(1)
    logits = 1.5 * torch.randn(rows, vocabulary, generator=generator)
    at = [row for row in range(rows) for _ in range(n if row in (3, 39) else 2)]
    uniforms = torch.rand(len(at), generator=generator, dtype=torch.float64).tolist()
    setting = params(temperature=temperature, **filters)
    tokens, logps = sample_tokens(logits, at, uniforms, setting)
    for row in (3, 39):
        expected = filtered_softmax(logits[row] / temperature, **filters)
        drawn = torch.tensor([token for token, one in zip(tokens, at, strict=True) if one == row])
        own = torch.tensor([logp for logp, one in zip(logps, at, strict=True) if one == row])
        assert torch.allclose(own.double().exp(), expected[drawn], rtol=1e-5)
        kept = expected > 0
        counts = torch.bincount(drawn, minlength=vocabulary)
        assert counts[~kept].sum() == 0
        assert stats.chisquare(counts[kept], expected[kept].numpy() * n).pvalue > 1e-3


def filtered_softmax(logits: torch.Tensor, top_p: float = 1.0, top_k: int = 0) -> torch.Tensor:
    probs = logits.double().softmax(-1)
    kept, mass = [], 0.0
    for token in probs.argsort(descending=True).tolist():
        if mass >= top_p or (top_k and len(kept) == top_k):
            break
        kept.append(token)
        mass += probs[token].item()
    expected = torch.zeros_like(probs)
    expected[kept] = probs[kept] / probs[kept].sum()
    return expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_named(temperature: float, value: float) -> None:
    logits = torch.zeros(3, 40)
    logits[1, 7] = value
    with pytest.raises(NonFiniteError, match="logits are not finite"):
        sample_tokens(logits, [0, 1, 2], [0.5] * 3, params(temperature=temperature))


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_no_token_of_probability_0_is_drawn(uniform: float) -> None:
    """At either end of the distribution, and where whole blocks have none."""
    logits = torch.full((1, 1200), -torch.inf)
    logits[0, [300, 301, 900]] = torch.tensor([0.0, -3.0, 1.0])
    for _ in range(2):
        tokens, _ = sample_tokens(logits, [0], [uniform], params(temperature=1.0))
        assert tokens[0] in (300, 301, 900)
        logits[0, 900] = -torch.inf  # then everything lies in one block


def test_native_samples_the_models_own_distribution() -> None:
    """χ² over all two-token outcomes of a tiny model, from the engine itself."""
    model, n = tiny_model("gpt2"), 6000
    setting = params(max_new_tokens=2, temperature=1.0)
    engine = NativeEngine(model, TOKENIZER, torch.float32, max_rows=n)
    group = engine.generate(PROMPTS[1:2], n, setting, SEEDS[1:2])[0]
    counts = Counter(c.token_ids for c in group.completions)
    outcomes = [(a, b) for a, b in product(range(VOCABULARY), repeat=2) if a not in STOPS]
    outcomes += [(stop,) for stop in STOPS]
    with torch.no_grad():
        probs = {y: math.exp(exact_log_prob(model, PROMPTS[1].token_ids, y)) for y in outcomes}
    assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
    common = [y for y in outcomes if probs[y] * n >= 5]
    observed = [counts[y] for y in common]
    expected = [probs[y] * n for y in common]
    rest = n - sum(observed)
    p = stats.chisquare([*observed, rest], [*expected, n - sum(expected)]).pvalue
    assert len(common) > 10
    assert p > 1e-3


def exact_log_prob(model, prompt: tuple[int, ...], completion: tuple[int, ...]) -> float:
    logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
    start = len(prompt) - 1
    return sum(logits[start + t, token].item() for t, token in enumerate(completion))


def test_a_models_own_generation_defaults_do_not_change_what_is_sampled() -> None:
    model = tiny_model()
    plain = [ids(engine.generate(PROMPTS, 2, params(), SEEDS)) for engine in engines(model)]
    model.generation_config.repetition_penalty = 1.5
    model.generation_config.top_k = 2
    assert [ids(e.generate(PROMPTS, 2, params(), SEEDS)) for e in engines(model)] == plain
    assert model.generation_config.top_k == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_released_weights_come_back_with_sync(model, dtype: torch.dtype) -> None:
    """What only sampling needs is freed for an update; the policy's own weights stay."""
    own = sum(one.nbytes for one in model.parameters())
    for engine in engines(model, dtype):
        expected = engine.generate(PROMPTS, 2, params(max_new_tokens=6), SEEDS)
        for _ in range(2):
            engine.release()
            engine.release()  # twice is once
            assert sum(one.nbytes for one in model.parameters()) == own
            if dtype == torch.bfloat16:
                assert sum(one.nbytes for one in engine._weights._model.parameters()) == 0
            assert not (engine._weights._packed and engine._weights._packed._packed)
            with pytest.raises(RuntimeError, match="sync"):
                engine.generate(PROMPTS, 2, params(max_new_tokens=6), SEEDS)
            engine.sync(model)
            assert engine.generate(PROMPTS, 2, params(max_new_tokens=6), SEEDS) == expected
