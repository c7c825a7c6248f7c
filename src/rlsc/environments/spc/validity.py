"""What validation by sampled completions accepts as a wrong step; arXiv 2504.19162.

From the right step and from the rewritten one a solver finishes the solution N times each. The
rewritten step counts as wrong where the right one's completions succeed in at least ¾ and none of
its own does.
"""

from __future__ import annotations

from math import ceil, comb


def confirmed(successes: int, samples: int) -> bool:
    """Whether so many successes of N let the step that was there count as right."""
    return 4 * successes >= 3 * samples


def accepted(successes_before: int, successes_after: int, samples: int) -> bool:
    """Whether so many successes of N each make the rewritten step count as wrong."""
    return confirmed(successes_before, samples) and successes_after == 0


def acceptance(samples: int, p_before: float, p_after: float) -> float:
    """P(Bin(N, p₀) ≥ ¾ N) · (1 − p₁)^N, where the solver succeeds with p₀ and p₁.

    A step that is right after all (p₀ = p₁ = p) is accepted with at most 2.4 % for N = 4, a real
    error that the solver repairs with p₁ = 0.3 lost in 76 % and more:

    >>> round(acceptance(4, 0.39, 0.39), 3), round(1 - acceptance(4, 1.0, 0.3), 2)
    (0.023, 0.76)
    """
    enough = range(ceil(3 * samples / 4), samples + 1)
    before = sum(comb(samples, k) * p_before**k * (1 - p_before) ** (samples - k) for k in enough)
    return float(before * (1 - p_after) ** samples)
