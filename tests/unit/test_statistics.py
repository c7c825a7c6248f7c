"""Intervals, votes and the collision probability, against formulas and enumeration."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from rlsc.statistics import (
    bootstrap_interval,
    collision_probability,
    majority,
    wilson_interval,
)


def wilson_by_hand(successes: int, n: int, z: float) -> tuple[float, float]:
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 39), (22, 39), (39, 39), (7, 500)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_is_its_formula(successes: int, n: int, confidence: float) -> None:
    z = stats.norm.ppf((1 + confidence) / 2)
    found = wilson_interval(successes, n, confidence)
    assert found == pytest.approx(wilson_by_hand(successes, n, z), abs=1e-12)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


def test_wilson_defaults_to_95_percent() -> None:
    assert wilson_interval(8, 10) == wilson_interval(8, 10, 0.95)
    assert wilson_interval(8, 10) != wilson_interval(8, 10, 0.9)


def test_bootstrap_of_a_large_sample_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(values.tolist())
    spread = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.02)
    narrow = bootstrap_interval(values.tolist(), confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap_interval(rng.binomial(8, 0.3, 60) / 8) for _ in range(100)]
    covered = sum(low <= 0.3 <= high for low, high in intervals)
    # 100 draws at 95 %: within three standard errors, 2.2 each.
    assert 88 <= covered <= 100


def test_bootstrap_is_reproducible() -> None:
    values = np.random.default_rng(2).normal(size=50).tolist()
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


@pytest.mark.parametrize("value", [-0.5, 0.0, 1.0])
def test_bootstrap_of_equal_values_is_that_value(value: float) -> None:
    assert bootstrap_interval([value] * 7) == (value, value)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_bootstrap_of_fewer_than_two_values_is_unknown(values: list[float]) -> None:
    assert bootstrap_interval(values) is None


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        ([], None),
        ([None, None], None),
        ([None, None, "a"], "a"),
        (["a", "b", "b"], "b"),
        (["b", "a", "a", "b"], "b"),
        (["a", "b", "b", "a"], "a"),
        ([None, "c", "a", None, None], "c"),
        (["", "", "x"], ""),
    ],
)
def test_majority(answers: list[str | None], winner: str | None) -> None:
    assert majority(answers) == winner


@pytest.mark.parametrize("outcomes", ["ab", "aa", "aabbb", "abcabcc", "xyzw", "aaaaaaab"])
def test_collision_probability_is_the_share_of_equal_pairs(outcomes: str) -> None:
    pairs = list(combinations(outcomes, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    assert collision_probability(outcomes) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("outcomes", [[], ["a"]])
def test_collision_probability_needs_a_pair(outcomes: list[str]) -> None:
    assert collision_probability(outcomes) is None


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_collision_probability_is_unbiased(k: int) -> None:
    """Its expectation over all K-tuples is Σp² exactly, at every K."""
    policy = {"a": Fraction(1, 2), "b": Fraction(1, 3), "c": Fraction(1, 6)}
    expectation = 0.0
    for outcomes in product(policy, repeat=k):
        estimate = collision_probability(outcomes)
        assert estimate is not None
        expectation += float(math.prod(policy[outcome] for outcome in outcomes)) * estimate
    assert expectation == pytest.approx(float(sum(p * p for p in policy.values())), abs=1e-12)
