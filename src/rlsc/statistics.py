"""Accuracies with intervals. scipy's methods where scipy has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import stats

Interval = tuple[float, float]

RESAMPLES = 10_000


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share."""
    result = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(result.low), float(result.high)


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """Percentile bootstrap of a mean, resampling *questions*: one value per question.

    Samples of one question are not independent, so their mean is one value here. For a paired
    difference pass the differences question by question. None for fewer than two questions.
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return None
    result = stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return float(low), float(high)


def majority(answers: Sequence[str | None]) -> str | None:
    """The most frequent answer; unanswered samples have no vote, and ties go to the first seen."""
    votes = Counter(answer for answer in answers if answer is not None)
    return votes.most_common(1)[0][0] if votes else None


def collision_probability(outcomes: Sequence[object]) -> float | None:
    """Unbiased estimate of Σ_y p(y)²: the share of pairs of samples that are the same.

    Σ_c n_c (n_c − 1) / (K (K − 1)); None for fewer than two samples.
    """
    k = len(outcomes)
    if k < 2:
        return None
    return sum(n * (n - 1) for n in Counter(outcomes).values()) / (k * (k - 1))
