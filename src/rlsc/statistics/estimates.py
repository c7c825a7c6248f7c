"""Accuracies with intervals, votes, paired tests. scipy's methods where scipy has them.

Left out: the median, which is the standard library's `statistics.median`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import comb
from typing import NamedTuple

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
    Equal values give an interval of no width: `mean_interval` mends that at 0 and at 1.
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


def mean_interval(
    values: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> Interval | None:
    """`bootstrap_interval` of per-question values in [0, 1], with an honest width at the extremes.

    Where every question has 0, or every question has 1, no resample differs and the bootstrap
    would claim certainty; there it is Wilson's interval of 0 or n successes in n *questions*.
    None for no question, and for a single one strictly between 0 and 1.
    """
    n = len(values)
    if n and (all(value == 0 for value in values) or all(value == 1 for value in values)):
        return wilson_interval(n if values[0] == 1 else 0, n, confidence)
    return bootstrap_interval(values, confidence, seed)


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean over runs that differ in their seed; None for one run.

    It is about the seeds alone: the questions are the same in all runs.
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def paired_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> tuple[float, Interval | None]:
    """Mean of after − before over the same questions in the same order, and its interval.

    The interval is `bootstrap_interval` of the differences: None for one question, and of no
    width if all questions differ by the same amount, which proves nothing about other questions.
    ValueError for unequal lengths and for no question.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    if not differences:
        raise ValueError("a paired difference needs at least one question")
    interval = bootstrap_interval(differences, confidence, seed)
    return sum(differences) / len(differences), interval


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


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate, from c right of n samples, that one of k samples is right.

    1 − C(n−c, k) / C(n, k), arXiv 2107.03374, in integers and rounded once at the end: exact at
    every n. ValueError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n.
    """
    _check_subset(n, k)
    if not 0 <= c <= n:
        raise ValueError(f"{c} right of {n} samples: must be from 0 to {n}")
    subsets = comb(n, k)
    return (subsets - comb(n - c, k)) / subsets


def majority(answers: Sequence[str | None]) -> str | None:
    """The most frequent answer; unanswered samples have no vote, and ties go to the first seen."""
    votes = Counter(answer for answer in answers if answer is not None)
    return votes.most_common(1)[0][0] if votes else None


def majority_at_k(keys: Sequence[str | None], correct: Sequence[bool], k: int) -> float:
    """Probability that the most frequent answer of k of one question's n samples is right.

    Exact: the mean over all k-subsets, ties broken uniformly at random, so that, unlike
    `majority`, it does not depend on the order. Samples without an answer (None) are drawn but
    have no vote; a subset without any vote is wrong. An answer is as right as its first sample
    (arXiv 2203.11171 votes; this is its expectation). ValueError for unequal lengths and unless
    1 ≤ k ≤ n.
    """
    _check_subset(len(keys), k)
    votes: Counter[str] = Counter()
    right: dict[str, bool] = {}
    for key, flag in zip(keys, correct, strict=True):
        if key is not None:
            votes[key] += 1
            right.setdefault(key, bool(flag))
    if not any(right.values()):
        return 0.0
    answers = [(votes[key], right[key]) for key in votes]
    won = sum(_won_with(top, answers, len(keys), k) for top in range(1, max(votes.values()) + 1))
    return float(won / comb(len(keys), k))


def _won_with(top: int, answers: Sequence[tuple[int, bool]], n: int, k: int) -> Fraction:
    """How many k-subsets of n samples a right answer wins with exactly `top` votes.

    `answers` are (samples, is right). A tie of t answers, r of them right, counts r/t. Counts
    subsets answer by answer, by (samples drawn, answers with `top` votes, right ones of these):
    polynomial in n where enumeration is not.
    """
    silent = n - sum(samples for samples, _ in answers)
    ways = Counter({(drawn, 0, 0): comb(silent, drawn) for drawn in range(min(silent, k) + 1)})
    left = n - silent
    for samples, is_right in answers:
        left -= samples
        grown: Counter[tuple[int, int, int]] = Counter()
        for (drawn, tied, tied_right), count in ways.items():
            # Fewer votes than the first bound leave too few samples to complete a k-subset.
            for votes in range(max(0, k - drawn - left), min(samples, top, k - drawn) + 1):
                at_top = votes == top
                state = (drawn + votes, tied + at_top, tied_right + (at_top and is_right))
                grown[state] += count * comb(samples, votes)
        ways = grown
    shares = (Fraction(n * right, tied) for (_, tied, right), n in ways.items() if tied)
    return sum(shares, Fraction(0))


def _check_subset(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} of {n} samples: must be from 1 to {n}")


def collision_probability(outcomes: Sequence[object]) -> float | None:
    """Unbiased estimate of Σ_y p(y)²: the share of pairs of samples that are the same.

    Σ_c n_c (n_c − 1) / (K (K − 1)); None for fewer than two samples.
    """
    k = len(outcomes)
    if k < 2:
        return None
    return sum(n * (n - 1) for n in Counter(outcomes).values()) / (k * (k - 1))


def ngram_repetition(tokens: Sequence[Hashable], n: int = 4) -> float:
    """Share of a text's n-grams that repeat an earlier one: 1 − distinct / all, in [0, 1).

    seq-rep-n of arXiv 1908.04319, in linear time. `tokens` are token ids or words (a plain
    string counts characters). 0 for fewer than n tokens; ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n-grams of n = {n}: must be at least 1")
    grams = len(tokens) - n + 1
    if grams < 1:
        return 0.0
    distinct = set(zip(*(tokens[start : start + grams] for start in range(n)), strict=True))
    return 1 - len(distinct) / grams
