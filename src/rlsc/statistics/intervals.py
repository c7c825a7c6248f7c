"""95 % intervals of shares and means. scipy's methods where scipy has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from rlsc.types import Estimate, Interval

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
    Equal values give an interval of no width: `share_interval` mends that at 0 and at 1.
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


SHARE_INTERVAL = (
    "95 % intervals in brackets: Wilson's where every question is right or not, as with greedy "
    "answers; of several samples a bootstrap over questions, since samples of one are not "
    "independent."
)
"""What `share_interval` does, for a reader of its figures."""


def share_interval(
    values: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """The interval of every accuracy: of the mean of one value in [0, 1] a question.

    Where each is 0 or 1 (a greedy answer, a vote without a tie) their sum is a binomial count of
    independent questions: `wilson_interval`, which is honest where all are right or none is.
    Else (shares of several samples, expected votes) `bootstrap_interval` over questions. None for
    no question, and for a single one strictly between 0 and 1.
    """
    if len(values) and all(value in (0, 1) for value in values):
        return wilson_interval(round(sum(values)), len(values), confidence)
    return bootstrap_interval(values, confidence, seed)


def share(values: Sequence[float]) -> Estimate:
    """The mean of one value in [0, 1] a question, with its `share_interval`."""
    return Estimate(sum(values) / len(values), share_interval(values))


def seed_interval(values: Sequence[float]) -> Interval | None:
    """Student's t interval of the mean over runs that differ in their seed; None for one run.

    It is about the seeds alone: the questions are the same in all runs.
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean - reach, mean + reach
