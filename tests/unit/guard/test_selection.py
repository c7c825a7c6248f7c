"""Which step is chosen, of scores made up for it."""

from __future__ import annotations

import random

import pytest

from rlsc.guard.rule import HEALTHY, Health, Observation
from rlsc.guard.selection import CHANCE, candidates, choose, score


def at(step: int, *supports: float) -> Observation:
    return Observation(step, 0.9, {"support": supports}, paired=True)


def test_the_score_is_the_mean_support() -> None:
    assert score(at(0, 0.25, 0.5, 0.0)) == pytest.approx(0.25)
    assert score(Observation(0, 0.9, {"answered": [1.0]})) is None
    assert score(Observation(0, 0.9, {})) is None


def test_the_latest_is_chosen_unless_an_earlier_one_is_surely_better() -> None:
    high, low = [1.0] * 16, [1.0] * 10 + [0.0] * 6
    assert choose([at(2, *low), at(4, *high), at(6, *high)]) == 6
    assert choose([at(2, *low), at(4, *low), at(6, *high)]) == 6
    assert choose([at(2, *high), at(4, *high), at(6, *low)]) == 4
    assert choose([at(2, *high), at(4, *low), at(6, *low)]) == 2


def test_so_many_standard_errors_are_the_bound() -> None:
    """k of 16 questions that lose their vote: mean k/16 and error √(k/16 (1 − k/16) / 15)."""
    high = [1.0] * 16
    for lost in range(1, 8):
        share = lost / 16
        surely = share > CHANCE * (share * (1 - share) / 15) ** 0.5
        low = [0.0] * lost + [1.0] * (16 - lost)
        assert choose([at(1, *high), at(2, *low)]) == (1 if surely else 2)
    assert choose([at(1, *high), at(2, *([0.0] * 2 + [1.0] * 14))]) == 2
    assert choose([at(1, *high), at(2, *([0.0] * 4 + [1.0] * 12))]) == 1


def test_noise_seldom_moves_the_choice() -> None:
    """Steps of one quality: the last is left for the step before it as often as chance says.

    Fixed seed; of 2000 choices, 5 % expected, the standard error is 0.5 points.
    """
    rng = random.Random(0)
    earlier = sum(
        choose([at(step, *(rng.random() for _ in range(32))) for step in (1, 2)]) == 1
        for _ in range(2000)
    )
    assert 0.035 < earlier / 2000 < 0.065


def test_without_a_probe_or_with_a_small_one_the_latest_is_chosen() -> None:
    assert choose([at(1, *[1.0] * 7), at(2, *[0.0] * 7)]) == 2
    rollouts = [Observation(step, 0.9, {"answered": [1.0] * 16}) for step in (1, 2)]
    assert choose(rollouts) == 2


def test_candidates_are_the_last_without_harm_that_were_looked_at() -> None:
    history = [at(step, 1.0) for step in range(6)]
    verdicts = [
        Health(step, HEALTHY, harm=step == 4, asked=step not in (1, 3)) for step in range(6)
    ]
    assert [one.step for one in candidates(history, verdicts, 9)] == [0, 2, 5]
    assert [one.step for one in candidates(history, verdicts, 2)] == [2, 5]
