"""The critic's game by enumeration: loss, zero sum, one pool, best responses, no convergence."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from rlsc.environments.spc.rewards import critic_reward, sneaky_reward
from rlsc.environments.spc.validity import acceptance, accepted
from rlsc.objectives.task_relative import TaskRelative
from rlsc.types import Pool
from tests.invariant.roles import OUTCOMES, PROPOSE, RolePolicy, group, library_loss

RAW = TaskRelative(shaping="raw", loss_type="grpo")
STEPS = 3
"""What a sneaky generator can write: outcome n is step n modulo 3. Step 0 is right."""


def step_of(outcome: tuple[int, ...]) -> int:
    return OUTCOMES.index(outcome) % STEPS


def says_correct(outcome: tuple[int, ...]) -> bool | None:
    """A critic's verdict: by its first token; none where it stops at once."""
    return {0: None, 1: True, 2: False}[outcome[0]]


@pytest.fixture
def policy() -> RolePolicy:
    return RolePolicy(3)


def gradient(policy: RolePolicy, value: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(value, policy.table, retain_graph=True)
    return found


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reward", [1.0, -1.0])
def test_the_loss_is_the_papers_at_the_first_update(policy: RolePolicy, reward: float) -> None:
    """−A ρ with ρ = exp(mean log-prob − its own start): −A ∇ mean_t log p(y_t), for every y."""
    for outcome in OUTCOMES:
        mean = policy.log_prob(1, outcome) / len(outcome)
        theirs = gradient(policy, -reward * torch.exp(mean - mean.detach()))
        pool = Pool("critic", [group(1, outcome)], [[reward]])
        assert close(gradient(policy, library_loss(policy, RAW, [pool])), theirs)


@pytest.mark.parametrize("critics", [1, 2, 3])
def test_the_game_is_zero_sum_among_verdicts(critics: int) -> None:
    for said in product((True, False, None), repeat=critics):
        paid = [critic_reward(one, False) for one in said if one is not None]
        total = sneaky_reward(True, said) + (sum(paid) / len(paid) if paid else 0.0)
        assert total == pytest.approx(0, abs=1e-12)


def test_the_sneaky_generators_mean_pay_is_one_less_twice_the_detection() -> None:
    """E[r_S] = 1 − 2 d over all verdicts of two critics, d the probability of Incorrect."""
    for d in (0.0, 0.2, 0.7, 1.0):
        mean = sum(
            math.prod(1 - d if one else d for one in said) * sneaky_reward(True, said)
            for said in product((True, False), repeat=2)
        )
        assert mean == pytest.approx(1 - 2 * d)


def test_the_critics_mean_pay_and_its_best_threshold() -> None:
    """λ(2a − 1) + (1 − λ)(2b − 1): 0 for a constant verdict at λ = ½ alone; given evidence the
    best verdict is Incorrect where the step is likelier wrong than right in the training mix."""
    grid = [n / 8 for n in range(9)]
    for share, a, b in product(grid, grid, grid):
        mean = sum(
            p * q * critic_reward(verdict, is_correct)
            for is_correct, p, rate in ((True, share, a), (False, 1 - share, b))
            for verdict, q in ((is_correct, rate), (not is_correct, 1 - rate))
        )
        assert mean == pytest.approx(share * (2 * a - 1) + (1 - share) * (2 * b - 1))
        if (a, b) in ((1.0, 0.0), (0.0, 1.0)):
            assert (abs(mean) < 1e-12) == (share == 0.5)
    for wrong in (0.1, 0.49, 0.51, 0.9):
        pay = {
            said: wrong * critic_reward(said, False) + (1 - wrong) * critic_reward(said, True)
            for said in (True, False)
        }
        assert (pay[False] > pay[True]) == (wrong > 0.5)


def test_one_pool_sees_that_a_constant_critic_is_half_wrong(policy: RolePolicy) -> None:
    """In a pool of each kind all rewards of a critic that says Correct are equal: no gradient."""
    standardised = TaskRelative(shaping="standardised", loss_type="grpo")
    yes = (1, 0)
    right, wrong = group(1, yes, yes, name="right"), group(2, yes, yes, name="wrong")
    rewards = [[critic_reward(True, is_correct)] * 2 for is_correct in (True, False)]
    apart = [Pool("a", [right], rewards[:1]), Pool("b", [wrong], rewards[1:])]
    assert not gradient(policy, library_loss(policy, standardised, apart)).any()
    together = [Pool("critic", [right, wrong], rewards)]
    found = gradient(policy, library_loss(policy, standardised, together))
    ascent = gradient(policy, policy.log_prob(1, yes) - policy.log_prob(2, yes)) / 2
    ratio = (found / ascent)[ascent.abs() > 1e-9]
    assert torch.allclose(ratio, ratio[0].expand_as(ratio))
    assert -1 < float(ratio[0]) < 0  # Correct is raised for right steps, lowered for wrong ones


def detection(policy: RolePolicy) -> Tensor:
    """d of each step: the probability of Incorrect among the two verdicts."""
    said = [says_correct(outcome) for outcome in OUTCOMES]
    found = []
    for step in range(STEPS):
        p = policy.probabilities(step + 1)
        no, yes = (p[[k for k, one in enumerate(said) if one is v]].sum() for v in (False, True))
        found.append(no / (no + yes))
    return torch.stack(found)


def test_against_a_frozen_critic_the_generator_climbs_its_pay(policy: RolePolicy) -> None:
    """The expected gradient is −∇ Σ_t π(t) pay_t, pay_t = 1 − 2 d_t, and −1 for the right step."""
    sums = TaskRelative(shaping="raw", loss_type="dr_grpo")
    d = detection(policy).detach()
    total = torch.zeros_like(policy.table)
    for p_y, y in zip(policy.probabilities(PROPOSE).detach(), OUTCOMES, strict=True):
        step = step_of(y)
        for verdict, p in ((False, d[step]), (True, 1 - d[step])):
            reward = sneaky_reward(step != 0, [verdict])
            loss = library_loss(policy, sums, [Pool("sneaky", [group(PROPOSE, y)], [[reward]])])
            total += p_y * p * gradient(policy, loss)
    paid = [-1.0 if step_of(y) == 0 else 1 - 2 * float(d[step_of(y)]) for y in OUTCOMES]
    pay = torch.tensor(paid, dtype=torch.float64)
    ascent = gradient(policy, (policy.probabilities(PROPOSE) * pay).sum())
    assert close(total, -ascent)
    # A small step of it raises the share of the step that the critic detects least.
    best = min((1, 2), key=lambda step: float(d[step]))

    def share() -> float:
        p = policy.probabilities(PROPOSE)
        return float(sum(p[k] for k, y in enumerate(OUTCOMES) if step_of(y) == best))

    before = share()
    with torch.no_grad():
        policy.table += 0.05 * ascent
    assert share() > before


def test_against_a_frozen_generator_the_critic_climbs_its_pay(policy: RolePolicy) -> None:
    """−∇ of ½ E[r | right step] + ½ E[r | wrong one], missing verdicts paid −1."""
    sums = TaskRelative(shaping="raw", loss_type="dr_grpo")
    wrong = policy.probabilities(PROPOSE).detach()
    mass = torch.stack(
        [sum(p for p, y in zip(wrong, OUTCOMES, strict=True) if step_of(y) == s) for s in (1, 2)]  # type: ignore[misc]
    )
    mix = [0.5, *(0.5 * mass / mass.sum()).tolist()]
    total, value = torch.zeros_like(policy.table), torch.zeros((), dtype=torch.float64)
    for step, share in enumerate(mix):
        p_y = policy.probabilities(step + 1)
        for p, y in zip(p_y, OUTCOMES, strict=True):
            reward = critic_reward(says_correct(y), step == 0)
            pool = Pool("critic", [group(step + 1, y)], [[reward]])
            total += share * float(p) * gradient(policy, library_loss(policy, sums, [pool]))
            value = value + share * p * reward
    assert close(total, -gradient(policy, value))


def test_two_learners_need_not_meet() -> None:
    """Matching pennies, x y: simultaneous steps of η multiply the squared distance by 1 + η²."""
    x, y = 0.3, -0.2
    for eta in (0.01, 0.5):
        after = (x + eta * y) ** 2 + (y - eta * x) ** 2
        assert after == pytest.approx((x**2 + y**2) * (1 + eta**2))


@pytest.mark.parametrize("samples", [1, 2, 4, 5])
def test_what_validation_by_samples_accepts(samples: int) -> None:
    """Against a sum over all outcomes of N completions each."""
    for p0, p1 in product((0.0, 0.3, 0.8, 1.0), repeat=2):
        total = 0.0
        for before, after in product(product((0, 1), repeat=samples), repeat=2):
            chance = math.prod(p0 if hit else 1 - p0 for hit in before)
            chance *= math.prod(p1 if hit else 1 - p1 for hit in after)
            total += chance * accepted(sum(before), sum(after), samples)
        assert acceptance(samples, p0, p1) == pytest.approx(total, abs=1e-12)


def test_a_right_step_passes_at_most_one_time_in_forty() -> None:
    rates = {n / 1000: acceptance(4, n / 1000, n / 1000) for n in range(1001)}
    worst = max(rates, key=lambda p: rates[p])
    assert worst == pytest.approx(0.39, abs=0.005)
    p, q = worst, 1 - worst
    assert rates[worst] == pytest.approx((4 * p**3 * q + p**4) * q**4)
    assert 0.023 < rates[worst] < 0.024
