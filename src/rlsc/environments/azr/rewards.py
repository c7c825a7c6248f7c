"""What a proposal and a solution are paid. Pure functions; arXiv 2505.03335, section 3.3.

| role | condition | paid |
|---|---|---|
| proposer | valid, 0 < ŝ < 1 | 1 − ŝ |
| proposer | valid, ŝ is 0 or 1 | `boundary`: 0 in the paper, −0.5 in the authors' code |
| proposer | of the asked format, not valid | `invalid`: −0.5 in the paper, −1 in the code |
| proposer | not of the asked format | −1 |
| solver | of the asked format, right | 1 |
| solver | of the asked format, wrong | −0.5 |
| solver | not of the asked format | −1 |

ŝ is the share of G solutions by the policy itself that are right. With a true solve rate p the
proposer's expected pay is (1 − p) − (1 − p)^G, and `boundary` · ((1 − p)^G + p^G) more; for
`boundary` 0 it is largest at `best_rate(G)`.
"""

from __future__ import annotations

NO_FORMAT = -1.0
WRONG = -0.5
RIGHT = 1.0


def proposer_reward(
    rate: float | None, has_format: bool, boundary: float = 0.0, invalid: float = -0.5
) -> float:
    """By the table; `rate` is None for a proposal that is not valid."""
    if rate is None:
        return invalid if has_format else NO_FORMAT
    return 1 - rate if 0 < rate < 1 else boundary


def solver_reward(right: bool, has_format: bool) -> float:
    """By the table."""
    if not has_format:
        return NO_FORMAT
    return RIGHT if right else WRONG


def best_rate(estimates: int) -> float:
    """The solve rate that is paid most with `boundary` 0: p* = 1 − G^(−1/(G−1)).

    >>> [round(best_rate(estimates), 2) for estimates in (2, 4, 8)]
    [0.5, 0.37, 0.26]
    """
    return 1 - estimates ** (-1 / (estimates - 1))
