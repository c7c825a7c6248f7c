"""`trr` over pools of different prompts: its gradient by enumeration, and its two options.

What an environment pays may rest on further samples of the policy, as a proposal's reward does on
how often its task is solved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import pytest
import torch
from torch import Tensor

from rlsc.objectives import PoolView
from rlsc.objectives.shaping import shape, standardised, token_whitened
from rlsc.objectives.task_relative import TaskRelative
from rlsc.types import Pool
from tests.invariant.roles import (
    OUTCOMES,
    PROPOSE,
    TASKS,
    RolePolicy,
    group,
    is_right,
    library_loss,
)

RAW = TaskRelative(shaping="raw", loss_type="dr_grpo")
ESTIMATES = 2
ENDS = {0: -0.5, ESTIMATES: 0.0}
"""Any reward of a share of right estimates; not 1 − ŝ at the ends, and the ends differ."""


def paid(right: int) -> float:
    return ENDS.get(right, 1 - right / ESTIMATES)


@pytest.fixture
def policy() -> RolePolicy:
    return RolePolicy(2)


def gradient(policy: RolePolicy, value: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(value, policy.table, retain_graph=True)
    return found


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def solve_rate(policy: RolePolicy, task: int) -> Tensor:
    right = torch.tensor([is_right(task, y) for y in OUTCOMES], dtype=torch.float64)
    return (policy.probabilities(task + 1) * right).sum()


def mean_paid(rate: Tensor) -> Tensor:
    """E of a proposal's reward over the estimates of a task that is solved at this rate."""
    n = ESTIMATES
    chances = [math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]
    return torch.stack([chance * paid(k) for k, chance in enumerate(chances)]).sum()


def test_the_gradient_holds_solve_rates_and_the_tasks_drawn_constant(policy: RolePolicy) -> None:
    """E[∇L] = −½ (∇E_z[R(z)] + ∇E_y[r(y, z)]), R and the distribution of z held fixed.

    A step has one proposal z and one solution y, of that task, or of task 0 where z is none.
    """
    expected = torch.zeros_like(policy.table)
    proposals = policy.probabilities(PROPOSE).detach()
    for p_z, z in zip(proposals, OUTCOMES, strict=True):
        task = TASKS.get(z, 0)
        rate = float(solve_rate(policy, task).detach())
        for right in range(ESTIMATES + 1) if z in TASKS else (None,):
            p_right, reward = 1.0, -1.0
            if right is not None:
                miss = (1 - rate) ** (ESTIMATES - right)
                p_right, reward = math.comb(ESTIMATES, right) * rate**right * miss, paid(right)
            for p_y, y in zip(policy.probabilities(task + 1).detach(), OUTCOMES, strict=True):
                pools = [
                    Pool("propose", [group(PROPOSE, z)], [[reward]]),
                    Pool("solve", [group(task + 1, y)], [[is_right(task, y)]]),
                ]
                loss = library_loss(policy, RAW, pools)
                expected += p_z * p_right * p_y * gradient(policy, loss)

    p_z = policy.probabilities(PROPOSE)
    rates = torch.stack([solve_rate(policy, TASKS.get(z, 0)) for z in OUTCOMES])
    pay = torch.stack(
        [
            mean_paid(rates[k]) if z in TASKS else rates.new_tensor(-1)
            for k, z in enumerate(OUTCOMES)
        ]
    )
    proposing = gradient(policy, (p_z * pay.detach()).sum())
    solving = gradient(policy, (p_z.detach() * rates).sum())
    assert close(expected, -0.5 * (proposing + solving))
    # What is left out would have the solver's rates follow the proposer's pay.
    whole = gradient(policy, (p_z * (pay + rates)).sum())
    assert not close(proposing + solving, whole)


def test_a_rate_above_the_best_paid_would_be_lowered_by_the_whole_gradient() -> None:
    """dR/ds of the mean pay is negative there: hence estimates are no path of the gradient."""
    rate = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(mean_paid(rate), rate)
    assert slope < 0


def test_weights_of_a_pool_are_of_its_own_rewards_alone() -> None:
    """Mean 0, deviation 1 but for the 10⁻⁴, and no matter in what unit or from what origin."""
    rewards = torch.tensor([-1.0, -0.5, 0.75, 0.0, 1.0], dtype=torch.float64)
    weights = standardised(rewards)
    assert abs(float(weights.mean())) < 1e-12
    assert float(weights.std()) == pytest.approx(1, abs=2e-4)
    assert torch.allclose(standardised(3 + 20 * rewards), weights, atol=2e-4)
    assert not standardised(torch.full((4,), 0.7)).any()
    assert not standardised(torch.ones(1)).any()


Rewards = Callable[[Sequence[tuple[int, ...]]], list[float]]


def expected_over_pairs(policy: RolePolicy, objective: TaskRelative, rewards: Rewards) -> Tensor:
    """E over pools of two completions, of tasks 0 and 1, of the library's gradient."""
    total = torch.zeros_like(policy.table)
    first, second = (policy.probabilities(task + 1).detach() for task in (0, 1))
    for (a, p_a), (b, p_b) in product(
        zip(OUTCOMES, first, strict=True), zip(OUTCOMES, second, strict=True)
    ):
        given = [[reward] for reward in rewards((a, b))]
        pool = Pool("solve", [group(1, a), group(2, b)], given)
        total += p_a * p_b * gradient(policy, library_loss(policy, objective, [pool]))
    return total


def test_leaving_one_out_of_different_prompts_is_unbiased(policy: RolePolicy) -> None:
    """Another prompt's reward does not depend on the completion: E[∇L] = −½ Σ ∇E[r]."""
    objective = TaskRelative(shaping="leave_one_out", loss_type="dr_grpo")
    ascent = gradient(policy, solve_rate(policy, 0) + solve_rate(policy, 1))

    def alone(pair: Sequence[tuple[int, ...]]) -> list[float]:
        return [is_right(task, y) for task, y in enumerate(pair)]

    assert close(expected_over_pairs(policy, objective, alone), -ascent / 2)

    def without_twins(pair: Sequence[tuple[int, ...]]) -> list[float]:
        twin = 0.5 * (pair[0] == pair[1])
        return [reward - twin for reward in alone(pair)]

    # A penalty for being like another proposal makes rewards depend on each other.
    p, q = (policy.probabilities(task + 1) for task in (0, 1))
    penalised = ascent - gradient(policy, (p * q).sum())
    found = expected_over_pairs(policy, objective, without_twins)
    assert not close(found, -penalised / 2)
    assert close(
        expected_over_pairs(policy, RAW, without_twins),
        -0.5 * (ascent - 0.5 * gradient(policy, (p * q.detach()).sum() + (p.detach() * q).sum())),
    )


def test_token_whitened_is_the_formula() -> None:
    rewards = torch.tensor([1.0, -0.5, 0.0], dtype=torch.float64)
    lengths = torch.tensor([1, 4, 2])
    tokens = [1.0, -0.5, -0.5, -0.5, -0.5, 0.0, 0.0]
    mean = sum(tokens) / 7
    deviation = math.sqrt(sum((r - mean) ** 2 for r in tokens) / 6 + 1e-8)
    expected = [(r - mean) / deviation for r in rewards.tolist()]
    found = shape("token_whitened", rewards, 0.0, lengths)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert abs(float((lengths * found).sum())) < 1e-12


@pytest.mark.parametrize("length", [1, 3])
def test_token_whitened_of_equal_lengths_is_standardised_but_for_the_denominator(
    length: int,
) -> None:
    """n completions of T tokens: σ² has nT − 1 in place of (n − 1) T."""
    rewards = torch.tensor([1.0, -0.5, 0.0, 0.25], dtype=torch.float64)
    n = len(rewards)
    found = token_whitened(rewards, torch.full((n,), length))
    factor = math.sqrt((n * length - 1) / ((n - 1) * length))
    assert torch.allclose(found, factor * standardised(rewards), atol=3e-4)
    assert not token_whitened(torch.full((n,), 0.7), torch.tensor([1, 2, 3, 4])).any()
    assert not token_whitened(torch.ones(1), torch.tensor([1])).any()


def test_the_objective_hands_the_lengths_to_its_shaping() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    rewards = torch.tensor([1.0, 0.0], dtype=torch.float64)
    known = {"environment_K": rewards}
    view = PoolView("p", "", ("a", "b"), mask, torch.zeros(2), 0, known)
    found = TaskRelative(shaping="token_whitened").weigh(view)
    assert torch.equal(found, token_whitened(rewards, torch.tensor([1, 2])))


@pytest.mark.parametrize("sizes", [(5,), (2, 3), (1, 1, 1, 1, 1)])
def test_token_mean_is_the_mean_over_all_tokens_of_the_step(
    policy: RolePolicy, sizes: tuple[int, ...]
) -> None:
    """−Σ_i A_i Σ_t log p(y_it) / Σ_i T_i, however it is cut into micro-batches."""
    outcomes = [OUTCOMES[place] for place in (0, 2, 5, 3, 6)]
    rewards = [1.0, -0.5, 0.0, 1.0, -1.0]
    pools = [
        Pool("propose", [group(PROPOSE, *outcomes[:2])], [rewards[:2]]),
        Pool("solve", [group(1, outcomes[2]), group(3, *outcomes[3:])], [[0.0], rewards[3:]]),
    ]
    objective = TaskRelative(shaping="raw", loss_type="token_mean")
    found = gradient(policy, library_loss(policy, objective, pools, sizes))
    prompts = [PROPOSE, PROPOSE, 1, 3, 3]
    terms = [
        reward * policy.log_prob(prompt, outcome)
        for prompt, outcome, reward in zip(prompts, outcomes, rewards, strict=True)
    ]
    by_hand = gradient(policy, -torch.stack(terms).sum() / sum(map(len, outcomes)))
    assert close(found, by_hand)
    assert len({len(outcome) for outcome in outcomes}) > 1
