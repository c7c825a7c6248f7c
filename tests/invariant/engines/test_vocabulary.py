"""Ids that pad the vocabulary: a model with such rows is, to the bit of an id, the one without."""

from __future__ import annotations

import pytest
import torch

from rlsc.engines import SamplingParams
from rlsc.engines.hf import HFEngine
from rlsc.engines.native.engine import NativeEngine
from rlsc.engines.vllm import _settings
from rlsc.logprobs.padded_rows import make_rows
from rlsc.logprobs.scorer import Layout, Scorer
from rlsc.logprobs.support import supported_layout
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.conftest import VOCABULARY, tiny_model, tiny_tokenizer

PADDING = 7
PROMPTS = [Prompt(str(n), "", tuple(range(3, 6 + n))) for n in range(3)]
HOW = {"max_new_tokens": 12, "stop_token_ids": (0,)}


def pair_of_models(family: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Padded with rows that would win every draw, and the same without them."""
    padded, cut = tiny_model(family, vocab_size=VOCABULARY + PADDING), tiny_model(family)
    state = {
        name: value[:VOCABULARY] if len(value) == VOCABULARY + PADDING else value
        for name, value in padded.state_dict().items()
    }
    cut.load_state_dict(state)
    head = padded.get_output_embeddings()
    with torch.no_grad():
        head.weight[VOCABULARY:] = 3 * head.weight[:PADDING]
    return padded, cut


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])  # a plain, a tied, a capped head
@pytest.mark.parametrize("engine", [NativeEngine, HFEngine])
@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 1.0, "top_k": 5}])
def test_no_engine_samples_them(engine: type, family: str, settings: dict[str, float]) -> None:
    padded, cut = pair_of_models(family)
    masked = SamplingParams(**HOW, **settings, vocabulary=VOCABULARY)
    plain = SamplingParams(**HOW, **settings)
    sampler = engine(padded, tiny_tokenizer(), torch.float32)
    groups = sampler.generate(PROMPTS, 4, masked, [1, 2, 3])
    ids = {id for group in groups for one in group.completions for id in one.token_ids}
    assert max(ids) < VOCABULARY
    if engine is NativeEngine:  # transformers' draws depend on how many ids there are
        expected = engine(cut, tiny_tokenizer(), torch.float32).generate(
            PROMPTS, 4, plain, [1, 2, 3]
        )
        for ours, theirs in zip(groups, expected, strict=True):
            for one, other in zip(ours.completions, theirs.completions, strict=True):
                assert one.token_ids == other.token_ids
                assert one.logps == pytest.approx(other.logps, abs=1e-5)
    unmasked = sampler.generate(PROMPTS, 4, plain, [1, 2, 3])
    drawn = {id for group in unmasked for one in group.completions for id in one.token_ids}
    assert max(drawn) >= VOCABULARY  # the test could fail


def completions() -> list[CompletionGroup]:
    lines = [(4, 5, 6, 0), (4, 5, 7), (9, 9, 9, 9)]
    siblings = [Completion("", ids, (), "stop") for ids in lines]
    return [CompletionGroup(prompt, siblings) for prompt in PROMPTS]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize(
    "layout",
    [{"padding_free": False}, {}, {"logits_chunk_size": 3}, {"logits_chunk_size": 0}],
    ids=["padded", "tree", "chunks", "all logits"],
)
def test_log_probs_entropies_and_gradients_are_those_without_them(
    layout: dict[str, int], family: str
) -> None:
    padded, cut = (model.double() for model in pair_of_models(family))
    rows = make_rows(completions(), merge_duplicates=True)
    found = []
    for model, vocabulary in ((padded, VOCABULARY), (cut, None)):
        scorer = Scorer(model, Layout(**layout, vocabulary=vocabulary), 40)
        total, stats = torch.zeros(()), []
        with scorer.attached():
            for batch in scorer.cut(rows):
                scores = scorer(batch, 0.7, entropy_gradient=True)
                total = total + (scores.logps_BT.sum(1) ** 2).sum() + scores.entropies_BT.sum()
                stats += [torch.stack(scores[:3]).flatten()]
            total.backward()
        found.append((torch.cat(stats), [p.grad for p in model.parameters()]))
    (stats, grads), (expected, expected_grads) = found
    assert torch.allclose(stats, expected, atol=1e-9)
    for grad, other in zip(grads, expected_grads, strict=True):
        assert torch.allclose(grad[: len(other)], other, atol=1e-9, rtol=1e-9)
        assert not grad[len(other) :].any()


def test_a_layout_that_falls_back_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    model.config._attn_implementation = "none of ours"
    layout, reason = supported_layout(model, Layout(vocabulary=9))
    assert reason
    assert layout == Layout(padding_free=False, vocabulary=9)


def test_vllm_is_told_of_them() -> None:
    params = SamplingParams(**HOW, vocabulary=9)
    assert set(_settings(params, 12)["logit_bias"]) == {9, 10, 11}
    assert _settings(SamplingParams(**HOW), 12)["logit_bias"] is None
