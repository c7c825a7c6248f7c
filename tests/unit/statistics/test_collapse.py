"""The step of a collapse, and the area before it."""

from __future__ import annotations

import pytest

from rlsc.statistics import collapse_step, mean_until

STEPS = [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("accuracies", "step"),
    [
        ([0.3, 0.6, 0.7, 0.65], None),
        ([0.3, 0.6, 0.35, 0.1], 30),  # half of the highest, but not below the first: not yet
        ([0.3, 0.2, 0.16, 0.15], 30),  # it never rises, and loses half
        ([0.3, 0.8, 0.29, 0.6], 20),  # the first such step, though it comes back
        ([0.3, 0.5, 0.26, 0.29], None),  # below the first, above half of the highest
        ([0.3, 0.6, 0.3, 0.3], None),  # not below the first
        ([0.0, 0.0, 0.0, 0.0], None),
    ],
)
def test_a_collapse_is_below_the_first_and_half_of_the_highest(
    accuracies: list[float], step: int | None
) -> None:
    assert collapse_step(STEPS, accuracies) == step


def test_the_area_is_that_of_the_trapezoids() -> None:
    accuracies = [0.2, 0.6, 0.4, 0.0]
    assert mean_until(STEPS, accuracies) == pytest.approx((4 + 5 + 2) / 30)
    assert mean_until(STEPS, accuracies, 20) == pytest.approx((4 + 5) / 20)
    assert mean_until(STEPS, accuracies, 0) == 0.2
    assert mean_until([0, 5, 20], [0.2, 0.8, 0.8]) == pytest.approx((2.5 + 12) / 20)  # uneven
    assert mean_until([], []) is None
    assert collapse_step([], []) is None


@pytest.mark.parametrize(
    ("steps", "accuracies", "until", "message"),
    [
        ([0, 1], [0.1], None, "2 steps and 1"),
        ([0, 0], [0.1, 0.2], None, "do not ascend"),
        ([0, 1], [0.1, 0.2], 2, "step 2 was not measured"),
    ],
)
def test_what_is_no_curve(
    steps: list[int], accuracies: list[float], until: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mean_until(steps, accuracies, until)
