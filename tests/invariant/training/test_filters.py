"""Each brake against enumeration: what it does to the expected gradient, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from rlsc.logprobs.padded_rows import MicroBatch, make_rows, pad
from rlsc.logprobs.scorer import score_completions
from rlsc.objectives import RLSC
from rlsc.objectives.combined import Combined
from rlsc.objectives.grpo import GRPO
from rlsc.objectives.kl import KL
from rlsc.training.filters import kept_by_filters, sampled_entropy
from rlsc.training.metrics import StepRecord
from rlsc.training.update import micro_batch_loss
from rlsc.training.weighing import Advantages
from rlsc.types import Completion, CompletionGroup, Prompt
from tests.invariant.groups import T, close, expected_gradient, gradient, group_of
from tests.invariant.tabular import TabularPolicy, batch_of, completions, prefixes
from tests.invariant.weighed import weigh

POLICY, BASE = TabularPolicy(1), TabularPolicy(2)


def test_kl_has_the_value_and_the_gradient_it_says() -> None:
    """E over p_θ of the loss is Σ_y p_θ log p_θ / p_ref; the gradient, at each place that p_θ
    visits, that of KL(p_ref ‖ p_θ) of the next token."""
    outcomes = completions()
    batch = batch_of(outcomes)
    scores = score_completions(POLICY, batch, T)
    reference_BT = score_completions(BASE, batch, T).logps_BT.detach()
    probabilities = POLICY.probabilities(T).detach()
    value = torch.zeros((), dtype=torch.float64)
    for index, outcome in enumerate(outcomes):
        group = [group_of((outcome,))]
        one = pad(make_rows(group, merge_duplicates=False))
        weights = weigh(group, RLSC(), [one], lambda b: score_completions(POLICY, b, T))
        record = StepRecord.empty(1)
        found = score_completions(POLICY, one, T)
        width = one.completion_mask_BT.shape[1]
        part = reference_BT[index : index + 1, :width]
        loss = micro_batch_loss(one, found, KL(), weights, record, reference_logps_BT=part)
        value = value + probabilities[index] * loss
        assert record.weights_N.item() == 0  # it weighs no log-likelihood
    base = BASE.probabilities(T).detach()
    expected = (probabilities * (probabilities.log() - base.log())).sum()
    assert value.item() == pytest.approx(expected.item(), rel=1e-10)
    visits = {
        prefix: sum(p for y, p in zip(outcomes, probabilities, strict=True) if starts(y, prefix))
        for prefix in prefixes()
    }
    divergence = torch.zeros((), dtype=torch.float64)
    for prefix, visited in visits.items():
        here = (POLICY.table[POLICY.place[prefix]] / T).log_softmax(-1)
        there = (BASE.table.detach()[BASE.place[prefix]] / T).log_softmax(-1)
        divergence = divergence + visited * (there.exp() * (there - here)).sum()
    assert close(gradient(POLICY, value), gradient(POLICY, divergence))
    assert scores.logps_BT.shape[0] == len(outcomes)


def starts(outcome: tuple[int, ...], prefix: tuple[int, ...]) -> bool:
    return len(outcome) > len(prefix) and outcome[: len(prefix)] == prefix


def test_beta_adds_that_gradient_to_any_objective() -> None:
    plain = expected_gradient(POLICY, RLSC(), 1)
    alone = expected_gradient(POLICY, KL(), 1, reference=BASE)
    braked = Combined(((RLSC(), 1.0), (KL(), 0.3)))
    assert close(expected_gradient(POLICY, braked, 1, reference=BASE), plain + 0.3 * alone)


def test_samples_of_the_base_weighed_by_it() -> None:
    """−Σ_y p_base(y) (p_base(y) + α) ∇log p_θ(y)."""
    total = torch.zeros((), dtype=torch.float64)
    base = BASE.probabilities(T).detach()
    for outcome, probability in zip(completions(), base, strict=True):
        total = total + probability * loss_of_base_sample(outcome)
    logps = torch.stack([POLICY.log_prob(y, T) for y in completions()])
    by_hand = gradient(POLICY, -(base * (base + 0.1) * logps).sum())
    assert close(gradient(POLICY, total), by_hand)


def base_sample(outcome: tuple[int, ...]) -> tuple[MicroBatch, Advantages]:
    """A micro-batch of one completion that the base has sampled, and its weights."""
    group = [group_of((outcome,))]
    batch = pad(make_rows(group, merge_duplicates=False))
    of_base = {"of_reference": True}
    return batch, weigh(
        group, RLSC(), [batch], lambda one: score_completions(BASE, one, T), **of_base
    )


def loss_of_base_sample(outcome: tuple[int, ...]) -> torch.Tensor:
    batch, weights = base_sample(outcome)
    scores = score_completions(POLICY, batch, T)
    return micro_batch_loss(batch, scores, RLSC(), weights, StepRecord.empty(1))


def test_ratios_to_the_base_that_sampled() -> None:
    """GRPO on the base's samples: the ratio is p_θ / p_base from the first update on."""
    batch, weights = base_sample(completions()[-1])
    scores = score_completions(POLICY, batch, T)
    loss = micro_batch_loss(batch, scores, GRPO(epsilon=1.0), weights, StepRecord.empty(1))
    base = score_completions(BASE, batch, T).logps_BT
    ratio = (scores.logps_BT - base).exp()
    assert loss.item() == pytest.approx(-ratio.clamp(max=2.0).mean().item(), rel=1e-12)


@pytest.mark.parametrize("clip", [0.12, 0.2, 0.5, 5.0])
def test_a_clipped_weight_is_the_smaller_of_the_two(clip: float) -> None:
    outcomes = completions()
    probabilities = POLICY.probabilities(T).detach()
    for outcome, p in zip(outcomes, probabilities, strict=True):
        group = [group_of((outcome,))]
        batch = pad(make_rows(group, merge_duplicates=False))
        weights = weigh(group, RLSC(), [batch], lambda one: score_completions(POLICY, one, T))
        record = StepRecord.empty(1)
        scores = score_completions(POLICY, batch, T)
        loss = micro_batch_loss(batch, scores, RLSC(), weights, record, weight_clip=clip)
        weight = min(p.item() + 0.1, clip)
        assert record.weights_N.item() == pytest.approx(weight, rel=1e-6)
        by_hand = gradient(POLICY, -weight * POLICY.log_prob(outcome, T))
        assert close(gradient(POLICY, loss), by_hand)


def test_a_clip_bounds_every_token_and_leaves_the_divergence() -> None:
    """Weights a token one by one; GRPO's own KL is no weight and stays whole."""
    outcome = (1, 2, 1)
    group = [group_of((outcome,))]
    batch = pad(make_rows(group, merge_duplicates=False))
    scores = score_completions(POLICY, batch, T)
    weights = weigh(group, RLSC(), [batch], lambda b: score_completions(POLICY, b, T))

    def gradient_of(objective, **more):
        loss = micro_batch_loss(batch, scores, objective, weights, StepRecord.empty(1), **more)
        return torch.autograd.grad(loss, POLICY.table, retain_graph=True)[0]

    logps_T = scores.logps_BT[0]
    clipped = (logps_T.detach().exp() + 0.1).clamp(max=0.3)
    by_hand = torch.autograd.grad(-(clipped * logps_T).sum(), POLICY.table, retain_graph=True)[0]
    assert close(gradient_of(RLSC(weight="token"), weight_clip=0.3), by_hand)
    reference = score_completions(BASE, batch, T).logps_BT.detach()
    held = {"reference_logps_BT": reference}
    free, braked = GRPO(beta=0.0), GRPO(beta=0.5)
    divergence = gradient_of(braked, **held) - gradient_of(free)
    cut = gradient_of(braked, weight_clip=0.2, **held) - gradient_of(free, weight_clip=0.2)
    assert close(cut, divergence)
    assert close(gradient_of(free, weight_clip=0.2), 0.2 * gradient_of(free))


def one(text: str, logp: float, ids: tuple[int, ...] = (1, 2)) -> Completion:
    return Completion(text, ids, (logp,) * len(ids), "stop")


def test_what_the_filters_leave_out_and_keep() -> None:
    prompt = Prompt("q", "q", (1,))
    sure = CompletionGroup(prompt, [one("\\boxed{4}", -0.1), one("The answer is 4.", -0.1, (3,))])
    split = CompletionGroup(prompt, [one("\\boxed{4}", -1.0), one("\\boxed{5}", -1.0, (3,))])
    mute = CompletionGroup(prompt, [one("I cannot tell", -1.0), one("I cannot say", -1.0, (7, 8))])
    same = CompletionGroup(prompt, [one("dear me", -1.0), one("dear me", -1.0)])
    groups = [sure, split, mute, same]
    assert kept_by_filters(groups, None, False).all()
    assert kept_by_filters(groups, None, True).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert kept_by_filters(groups, 0.5, False).tolist() == [False] * 2 + [True] * 6


def test_sampled_log_probs_estimate_the_entropy() -> None:
    """E of −Σ log p(y_t) is the entropy of the whole outcome, by the chain rule."""
    probabilities = POLICY.probabilities(T).detach()
    total = 0.0
    for outcome, p in zip(completions(), probabilities.tolist(), strict=True):
        scores = score_completions(POLICY, batch_of([outcome]), T)
        logps = tuple(scores.logps_BT.detach()[0].tolist())
        group = CompletionGroup(Prompt("q", "q", (1,)), [Completion("", outcome, logps, "stop")])
        total += p * sampled_entropy(group) * len(outcome)
    expected = -math.fsum(p * math.log(p) for p in probabilities.tolist())
    assert total == pytest.approx(expected, rel=1e-10)
