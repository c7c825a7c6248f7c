"""What a critic and a sneaky generator are paid. Pure functions; arXiv 2504.19162.

| role | condition | paid |
|---|---|---|
| critic | the verdict is right | 1 |
| critic | the verdict is wrong, or there is none | −1 |
| sneaky | its step is wrong | −1 · mean pay of the critics that have a verdict; 0 if none has |
| sneaky | its step is right after all, or no step | −1 |

Over critics with a verdict the game is zero-sum. One without is not the generator's to win: it
would be paid for texts that break the critic's format.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

RIGHT, WRONG = 1.0, -1.0


def critic_reward(says_correct: bool | None, is_correct: bool) -> float:
    """By the table; None: no verdict."""
    return RIGHT if says_correct is is_correct else WRONG


def sneaky_reward(is_wrong: bool, verdicts: Sequence[bool | None] = ()) -> float:
    """By the table; `verdicts` are those of its step."""
    if not is_wrong:
        return WRONG
    said = [verdict for verdict in verdicts if verdict is not None]
    return -fmean(critic_reward(verdict, False) for verdict in said) if said else 0.0
