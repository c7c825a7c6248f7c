"""Two models on the same questions: differences and exact tests, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from rlsc.statistics.intervals import bootstrap_interval
from rlsc.types import Estimate


def paired_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Mean of after − before over the same questions in the same order, and its interval.

    The interval is `bootstrap_interval` of the differences: None for one question, and of no
    width if all questions differ by the same amount, which proves nothing about other questions.
    ValueError for unequal lengths and for no question.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    if not differences:
        raise ValueError("a paired difference needs at least one question")
    interval = bootstrap_interval(differences, confidence, seed)
    return Estimate(sum(differences) / len(differences), interval)


class McNemar(NamedTuple):
    """McNemar(p=0.0625, gained=5, lost=0): five questions turned right, none turned wrong."""

    p: float
    gained: int
    lost: int


def mcnemar_exact(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """McNemar's exact test of two models on the same questions in the same order.

    Under the null a question that flips is as likely gained as lost: p is the two-sided binomial
    p of `gained` in `gained + lost`, and 1 where none flips. ValueError for unequal lengths.
    """
    pairs = list(zip(before, after, strict=True))
    gained = sum(1 for was, now in pairs if now and not was)
    lost = sum(1 for was, now in pairs if was and not now)
    flips = gained + lost
    p = float(stats.binomtest(gained, flips, 0.5).pvalue) if flips else 1.0
    return McNemar(p, gained, lost)


def signed_rank_p(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Wilcoxon's signed-rank test of paired values, two-sided; None where no pair differs."""
    if list(before) == list(after):
        return None
    return float(stats.wilcoxon(before, after).pvalue)
