"""Sums of objectives: rewards normalised one by one, and tokens that are held back."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
import torch

from rlsc.errors import ConfigError
from rlsc.objectives.combined import Combined
from rlsc.objectives.controls import FormatOnly
from rlsc.objectives.kl import KL
from rlsc.objectives.kl_cov import KLCov
from rlsc.objectives.ttrl import TTRL
from tests.invariant.groups import (
    Outcomes,
    T,
    answer_of,
    by_hand,
    close,
    expected_gradient,
    gradient,
    group_loss,
)
from tests.invariant.tabular import TabularPolicy

PARTS = ((TTRL(), 1.0), (FormatOnly(), 0.5))


@pytest.fixture(scope="module")
def policy() -> TabularPolicy:
    return TabularPolicy(1, cap=2)


def standardised(rewards: list[float]) -> list[float]:
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    return [(r - fmean(rewards)) / (stdev(rewards) + 1e-4) for r in rewards]


def two_rewards(outcomes: Outcomes) -> list[list[float]]:
    """Of two siblings: the first answer wins a tie; and whether the text has a box."""
    answers = [answer_of(y) for y in outcomes]
    winner = next((a for a in answers if a is not None), None)
    return [
        [float(a is not None and a == winner) for a in answers],
        [float(y[0] == 1) for y in outcomes],
    ]


def decoupled(outcomes: Outcomes) -> list[float]:
    """1 · A(vote) + 0.5 · A(box), each normalised by itself."""
    vote, box = map(standardised, two_rewards(outcomes))
    return [a + 0.5 * b for a, b in zip(vote, box, strict=True)]


def test_each_reward_is_normalised_before_they_are_added(policy: TabularPolicy) -> None:
    found = expected_gradient(policy, Combined(PARTS), 2)
    assert close(found, by_hand(policy, decoupled, 2, True))

    def added_first(outcomes: Outcomes) -> list[float]:
        vote, box = two_rewards(outcomes)
        return standardised([a + 0.5 * b for a, b in zip(vote, box, strict=True)])

    assert not close(found, by_hand(policy, added_first, 2, True))


def test_the_sum_is_normalised_over_the_step(policy: TabularPolicy) -> None:
    """A step of one question, so that what it is divided by is known."""

    def normalised(outcomes: Outcomes) -> list[float]:
        weights = decoupled(outcomes)
        return [(w - fmean(weights)) / (stdev(weights) + 1e-4) for w in weights]

    found = expected_gradient(policy, Combined(PARTS, normalised=True), 2)
    assert close(found, by_hand(policy, normalised, 2, True))
    beside = Combined((*PARTS, (KL(), 0.3)), normalised=True)  # a part without advantages stays
    reference = TabularPolicy(2, cap=2)
    kl = expected_gradient(policy, KL(), 2, reference=reference)
    assert close(expected_gradient(policy, beside, 2, reference=reference), found + 0.3 * kl)


def test_of_several_questions_the_spread_is_the_steps() -> None:
    """Weights of two questions, two completions each, and coefficients 1 and 0.5."""
    vote = torch.tensor([[0.7], [-0.7], [0.0], [0.0]], dtype=torch.float64)
    box = torch.tensor([[-0.7], [0.7], [0.7], [-0.7]], dtype=torch.float64)
    mask = torch.ones(4, 1, dtype=torch.bool)
    both = Combined(PARTS, normalised=True)
    found = both.over_step((vote, box), mask, None)
    total = (vote + 0.5 * box)[:, 0].tolist()
    summed = (found[0] + 0.5 * found[1])[:, 0].tolist()
    assert summed == pytest.approx([t / (stdev(total) + 1e-4) for t in total], rel=1e-12)
    with pytest.raises(ConfigError, match="one weight a completion"):
        both.over_step((vote, box.expand(-1, 3)), mask, None)
    nothing = torch.zeros(0, 1, dtype=torch.float64)
    assert both.over_step((nothing, nothing), nothing.bool(), None)[0].shape == (0, 1)


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_tokens_of_high_covariance_are_held_back(policy: TabularPolicy, share: float) -> None:
    """At θ ≠ θ_old: the divergence of those tokens, from the definition, beside the surrogate."""
    old, coefficient, compared = TabularPolicy(3, cap=2), 0.7, 0
    plain = TTRL(epsilon=1.0)
    held = Combined(((plain, 1.0), (KLCov(kl_cov_share=share), coefficient)))
    for outcomes in (((1, 2), (2, 0)), ((0,), (1, 0)), ((2, 1), (1, 1))):
        vote = standardised(two_rewards(outcomes)[0])
        rows = []
        for y, advantage in zip(outcomes, vote, strict=True):
            for end in range(1, len(y) + 1):
                before, now = (
                    one.log_prob(y[:end], T) - one.log_prob(y[: end - 1], T)
                    for one in (old, policy)
                )
                rows.append((advantage, before.detach(), now, len(y)))
        means = fmean(row[0] for row in rows), fmean(float(row[1]) for row in rows)
        covariance = [(row[0] - means[0]) * (float(row[1]) - means[1]) for row in rows]
        least = sorted(covariance, reverse=True)[max(1, int(share * len(rows))) - 1]
        total = torch.zeros((), dtype=torch.float64)
        for (_, before, now, length), value in zip(rows, covariance, strict=True):
            if value >= least - 1e-15:
                total = total + ((now - before).exp() - 1 - (now - before)) / length / 2
        found, beside = (group_loss(policy, one, outcomes, old=old) for one in (held, plain))
        assert close(found - beside, coefficient * total)
        assert close(gradient(policy, found - beside), coefficient * gradient(policy, total))
        compared += bool(total > 1e-6)
    assert compared == 3


def test_nothing_is_held_back_at_the_first_update(policy: TabularPolicy) -> None:
    held = Combined(((TTRL(), 1.0), (KLCov(kl_cov_share=0.5), 9.0)))
    found = [group_loss(policy, one, ((1, 2), (2, 0))) for one in (held, TTRL())]
    assert close(*(gradient(policy, loss) for loss in found))
