"""The mathematics of the objective, against exact enumeration on a tabular policy in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rlsc.engines import SamplingParams
from rlsc.engines.native.sampling import sample_tokens
from rlsc.objectives import RLSC
from tests.invariant.tabular import (
    MAX_LENGTH,
    STOP,
    TabularPolicy,
    completions,
    expected_gradient,
    library_losses,
)

T = 0.5


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.fixture(params=[0, 1, 2])
def policy(request: pytest.FixtureRequest) -> TabularPolicy:
    return TabularPolicy(request.param)


def gradient(policy: TabularPolicy, value: Tensor) -> Tensor:
    return torch.autograd.grad(value, policy.table)[0]


def test_outcomes_are_a_distribution(policy: TabularPolicy) -> None:
    for temperature in (T, 1.0):
        assert policy.probabilities(temperature).sum().item() == pytest.approx(1, abs=1e-12)


def test_expected_confidence_is_the_collision_probability(policy: TabularPolicy) -> None:
    """E_y[p(y)] = Σ p², with the library's own p(y)."""
    q = policy.probabilities(T).detach()
    losses = torch.stack(library_losses(policy, RLSC("sequence", 0.0), T)).detach()
    confidence = -losses / q.log()  # loss = −p log p
    assert close((q * confidence).sum(), q.square().sum())


def test_l1_at_the_sampling_temperature_ascends_half_the_collision_probability(
    policy: TabularPolicy,
) -> None:
    """E_q[∇L1] = −½ ∇ Σ q²."""
    half_f = 0.5 * policy.probabilities(T).square().sum()
    expected = expected_gradient(policy, RLSC("sequence", 0.0), T, T)
    assert close(expected, -gradient(policy, half_f))
    assert expected.abs().max() > 1e-3


def test_alpha_adds_nothing_in_expectation_at_the_sampling_temperature(
    policy: TabularPolicy,
) -> None:
    l1 = expected_gradient(policy, RLSC("sequence", 0.0), T, T)
    l2 = expected_gradient(policy, RLSC("sequence", 0.7), T, T)
    assert close(l1, l2)
    constant = expected_gradient(policy, RLSC("constant", 0.7), T, T)
    assert close(constant, torch.zeros_like(constant))


def test_scored_at_one_the_weight_term_ascends_neither_collision_probability(
    policy: TabularPolicy,
) -> None:
    """Sampled at ½, scored at 1: E[∇L1] = −E_q[p ∇log p], with p the untempered policy."""
    q, p = policy.probabilities(T).detach(), policy.probabilities(1.0)
    by_hand = -gradient(policy, (q * p.detach() * p.log()).sum())
    expected = expected_gradient(policy, RLSC("sequence", 0.0), T, 1.0)
    assert close(expected, by_hand)
    for temperature in (T, 1.0):
        half_f = 0.5 * policy.probabilities(temperature).square().sum()
        assert not torch.allclose(expected, -gradient(policy, half_f), rtol=0.01)


def test_scored_at_one_alpha_pulls_towards_the_tempered_policy(policy: TabularPolicy) -> None:
    """The α term is +α ∇KL(q ‖ p_θ), q held fixed."""
    alpha = 0.3
    q, p = policy.probabilities(T).detach(), policy.probabilities(1.0)
    divergence = (q * (q.log() - p.log())).sum()
    expected = expected_gradient(policy, RLSC("constant", alpha), T, 1.0)
    assert close(expected, alpha * gradient(policy, divergence))
    assert expected.abs().max() > 1e-3


def test_token_weights_follow_their_formula(policy: TabularPolicy) -> None:
    """E[∇loss] = −E_q[Σ_t p_t ∇log p_t]."""
    q = policy.probabilities(T).detach()
    total = torch.zeros((), dtype=torch.float64)
    for probability, outcome in zip(q, completions(), strict=True):
        for end in range(1, len(outcome) + 1):
            step = policy.log_prob(outcome[:end], T) - policy.log_prob(outcome[: end - 1], T)
            total = total + probability * step.detach().exp() * step
    expected = expected_gradient(policy, RLSC("token", 0.0), T, T)
    assert close(expected, -gradient(policy, total))


def test_length_normalized_weights_follow_their_formula(policy: TabularPolicy) -> None:
    q = policy.probabilities(T)
    lengths = torch.tensor([len(y) for y in completions()])
    weight = (q.log() / lengths).exp().detach()
    by_hand = -gradient(policy, (q.detach() * weight * q.log()).sum())
    assert close(expected_gradient(policy, RLSC("length_normalized", 0.0), T, T), by_hand)


@pytest.mark.parametrize("cap", [math.inf, 1.5])
def test_importance_weights_stand_in_for_the_engine(policy: TabularPolicy, cap: float) -> None:
    """Σ_y q(y) · min(p/q, cap) · ∇loss(y): without a cap, E_p[∇loss] for any engine q."""
    p, q = policy.probabilities(T).detach(), TabularPolicy(9).probabilities(T).detach()
    objective = RLSC("sequence", 0.1)
    plain = torch.stack(library_losses(policy, objective, T))
    corrected = torch.stack(library_losses(policy, objective, T, q.log(), cap))
    expected = gradient(policy, ((p / q).clamp(max=cap) * q * plain).sum())
    assert close(gradient(policy, (q * corrected).sum()), expected)
    unbiased = close(expected, expected_gradient(policy, objective, T, T))
    assert unbiased == (cap == math.inf)


def test_monte_carlo_agrees_within_its_standard_error() -> None:
    """Drawn by the engines' own sampler, the mean gradient meets the enumerated one."""
    policy, n = TabularPolicy(3), 20_000
    outcomes = sample(policy, n)
    place = {outcome: index for index, outcome in enumerate(completions())}
    counts = torch.zeros(len(place), dtype=torch.float64)
    for outcome in outcomes:
        counts[place[outcome]] += 1
    losses = library_losses(policy, RLSC("sequence", 0.1), T)
    gradients = torch.stack([gradient(policy, loss).flatten() for loss in losses])
    share = (counts / n)[:, None]
    mean = (share * gradients).sum(0)
    error = ((share * (gradients - mean).square()).sum(0) / n).sqrt()
    exact = expected_gradient(policy, RLSC("sequence", 0.1), T, T).flatten()
    z = (mean - exact) / error
    assert z.abs().max() < 4
    # Errors of the right size, not merely small ones: mean z² is 1 in expectation.
    assert 0.3 < z.square().mean() < 2.5


def sample(policy: TabularPolicy, n: int) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)
    params = SamplingParams(MAX_LENGTH, (STOP,), temperature=T)
    outcomes: list[tuple[int, ...]] = [()] * n
    for _ in range(MAX_LENGTH):
        alive = [i for i, y in enumerate(outcomes) if not y or y[-1] != STOP]
        logits = policy.table.detach()[[policy.place[outcomes[i]] for i in alive]]
        uniforms = torch.rand(len(alive), generator=generator, dtype=torch.float64)
        tokens, logps = sample_tokens(logits, range(len(alive)), uniforms.tolist(), params)
        exact = (logits / T).log_softmax(-1)[range(len(alive)), tokens]
        assert torch.allclose(torch.tensor(logps, dtype=torch.float64), exact, atol=1e-6)
        for i, token in zip(alive, tokens, strict=True):
            outcomes[i] = (*outcomes[i], token)
    return outcomes
