"""What Absolute Zero pays, in expectation, by enumeration of every outcome of the estimate."""

from __future__ import annotations

import math
from itertools import product

import pytest

from rlsc.environments.azr.rewards import best_rate, proposer_reward

GRID = [n / 20 for n in range(21)]


def expected(p: float, estimates: int, boundary: float) -> float:
    """E of the pay over all 2^G outcomes of G independent solutions."""
    total = 0.0
    for outcome in product((0, 1), repeat=estimates):
        right = sum(outcome)
        chance = p**right * (1 - p) ** (estimates - right)
        total += chance * proposer_reward(right / estimates, True, boundary)
    return total


@pytest.mark.parametrize("estimates", range(2, 9))
@pytest.mark.parametrize("boundary", [0.0, -0.5])
def test_the_expected_pay_is_the_formula(estimates: int, boundary: float) -> None:
    for p in GRID:
        unsolved, mastered = (1 - p) ** estimates, p**estimates
        formula = (1 - p) - unsolved + boundary * (unsolved + mastered)
        assert expected(p, estimates, boundary) == pytest.approx(formula, abs=1e-12)
    assert expected(0.0, estimates, boundary) == expected(1.0, estimates, boundary) == boundary


@pytest.mark.parametrize("estimates", range(2, 9))
def test_the_size_of_the_estimate_sets_the_difficulty_that_is_paid_most(estimates: int) -> None:
    """The maximum of (1 − p) − (1 − p)^G is where its slope −1 + G (1 − p)^(G−1) is 0."""
    best = best_rate(estimates)
    assert abs(-1 + estimates * (1 - best) ** (estimates - 1)) < 1e-9
    most = expected(best, estimates, 0.0)
    near = [best + step for step in (-1e-3, 1e-3)]
    far = [p for p in GRID if abs(p - best) > 1e-3]
    assert all(expected(p, estimates, 0.0) < most for p in [*far, *near])


def test_the_paid_difficulty_with_a_punished_boundary() -> None:
    """With −0.5 at both ends and G = 8 it is about 0.30."""
    fine = [n / 1000 for n in range(1001)]
    best = max(fine, key=lambda p: (1 - p) - 1.5 * (1 - p) ** 8 - 0.5 * p**8)
    assert best == pytest.approx(0.30, abs=0.005)
    assert expected(best, 8, -0.5) >= max(expected(p, 8, -0.5) for p in (0.25, 0.35))


@pytest.mark.parametrize("boundary", [0.0, -0.5])
def test_greedy_estimates_would_pay_the_boundary_always(boundary: float) -> None:
    """G equal samples are all right or all wrong: nothing of the difficulty is left."""
    assert {proposer_reward(float(right), True, boundary) for right in (0, 1)} == {boundary}
    assert math.isclose(best_rate(2), 0.5)
