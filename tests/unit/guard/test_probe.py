"""Which questions of the pool the guard asks."""

from __future__ import annotations

import pytest

from rlsc.guard.probe import most_agreed
from rlsc.guard.rule import HEALTHY, Health, due

AGREED = ["The answer is 7.", "7", "\\boxed{7}", "8"]
SPLIT = ["7", "7", "8", "9"]
SCATTERED = ["1", "2", "3", "4"]
SILENT = ["", "", "", ""]


def test_the_questions_asked_are_those_that_the_votes_agree_on_most() -> None:
    pool = [SCATTERED, AGREED, SILENT, SPLIT, AGREED]
    assert most_agreed(pool, 1) == [1]
    assert most_agreed(pool, 2) == [1, 4]
    assert most_agreed(pool, 3) == [1, 3, 4]
    assert most_agreed(pool, 4) == [0, 1, 3, 4]
    assert most_agreed(pool, 5) == most_agreed(pool, 9) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("interval", "asked"), [(1, range(8)), (2, (0, 1, 3, 5, 7)), (3, (0, 1, 4, 7))]
)
def test_it_is_due_after_the_first_update_and_from_then_on_every_so_many(
    interval: int, asked: range | tuple[int, ...]
) -> None:
    verdicts: list[Health] = []
    for step in range(8):
        verdicts.append(Health(step, HEALTHY, asked=due(verdicts, step, interval)))
    assert [one.step for one in verdicts if one.asked] == list(asked)
