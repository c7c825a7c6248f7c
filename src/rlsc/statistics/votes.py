"""Several samples of one question: pass@k, the expected majority, how often two agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import TypeVar

Answer = TypeVar("Answer", bound=Hashable)


def commonest(answers: Iterable[Answer | None]) -> tuple[Answer | None, int]:
    """The most frequent answer, the first seen of several, and its votes; (None, 0) without one."""
    votes = Counter(answer for answer in answers if answer is not None).most_common(1)
    return votes[0] if votes else (None, 0)


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


def majority_at_k(keys: Sequence[str | None], correct: Sequence[bool], k: int) -> float:
    """Probability that the most frequent answer of k of one question's n samples is right.

    Exact: the mean over all k-subsets, ties broken uniformly at random, so that it does not
    depend on the order. Samples without an answer (None) are drawn but have no vote; a subset
    without any vote is wrong. Where samples of one answer have two verdicts, the answer counts by
    the share of them that are right, as if one of them were drawn; so that majority@1 is the
    accuracy (arXiv 2203.11171 votes; this is its expectation). ValueError for unequal lengths and
    unless 1 ≤ k ≤ n.
    """
    _check_subset(len(keys), k)
    votes: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for key, flag in zip(keys, correct, strict=True):
        if key is not None:
            votes[key] += 1
            right[key] += bool(flag)
    if not any(right.values()):
        return 0.0
    # Shares of 0 and 1, nearly all of them, stay whole numbers: those are quick to add.
    answers = [
        (count, Fraction(right[key], count) if 0 < right[key] < count else right[key] // count)
        for key, count in votes.items()
    ]
    won = sum(_won_with(top, answers, len(keys), k) for top in range(1, max(votes.values()) + 1))
    return float(won / comb(len(keys), k))


def _won_with(top: int, answers: Sequence[tuple[int, Fraction | int]], n: int, k: int) -> Fraction:
    """How many k-subsets of n samples a right answer wins with exactly `top` votes.

    `answers` are (samples, share that is right). A tie of t answers, the sum of whose shares is r,
    counts r/t. Counts subsets answer by answer, by (samples drawn, answers with `top` votes, r):
    polynomial in n where enumeration is not.
    """
    silent = n - sum(samples for samples, _ in answers)
    ways: Counter[tuple[int, int, Fraction | int]] = Counter(
        {(drawn, 0, 0): comb(silent, drawn) for drawn in range(min(silent, k) + 1)}
    )
    left = n - silent
    for samples, share in answers:
        left -= samples
        grown: Counter[tuple[int, int, Fraction | int]] = Counter()
        for (drawn, tied, tied_right), count in ways.items():
            # Fewer votes than the first bound leave too few samples to complete a k-subset.
            for votes in range(max(0, k - drawn - left), min(samples, top, k - drawn) + 1):
                at_top = votes == top
                state = (drawn + votes, tied + at_top, tied_right + at_top * share)
                grown[state] += count * comb(samples, votes)
        ways = grown
    shares = (Fraction(n * right, tied) for (_, tied, right), n in ways.items() if tied)
    return sum(shares, Fraction(0))


KEPT = 0.1
"""Of samples with an answer the share that a filtered vote keeps, rounded up to a sample."""


def weighted_majority_at_k(
    keys: Sequence[str | None],
    correct: Sequence[bool],
    weights: Sequence[float],
    k: int,
    kept: float = 1.0,
) -> float:
    """Probability that the answer of most weight of k of one question's n samples is right.

    Each sample's vote weighs `weights`, its confidence, 0 or more; with `kept` below 1 only the
    surest of a subset's answered samples vote, that share of them rounded up, and those that tie
    with the last. DeepConf's weighted and filtered votes, arXiv 2508.15260, which vote once, with
    all samples. As for `majority_at_k`: the mean over all k-subsets, ties drawn, samples without
    an answer have no vote, and an answer of two verdicts counts by the share of its n samples that
    are right. The subsets are gone through one by one: C(n, k) of them. With equal weights, all
    kept, it is `majority_at_k`.

    ValueError for unequal lengths, a weight below 0 or not a number, and unless 1 ≤ k ≤ n.
    """
    _check_subset(len(keys), k)
    if not all(weight >= 0 for weight in weights):
        raise ValueError("a weight is below 0 or not a number")
    count, right = Counter[str](), Counter[str]()
    samples = list(zip(keys, correct, weights, strict=True))
    for key, flag, _ in samples:
        if key is not None:
            count[key] += 1
            right[key] += bool(flag)
    if not any(right.values()):
        return 0.0
    shares = {key: right[key] / number for key, number in count.items()}
    cast = [(key, weight) for key, _, weight in samples]
    won = [_won_by_weight(subset, shares, kept) for subset in combinations(cast, k)]
    return math.fsum(won) / len(won)


def _won_by_weight(
    subset: Sequence[tuple[str | None, float]], shares: Mapping[str, float], kept: float
) -> float:
    """The share of right ones among the answers of most weight; 0 without an answer."""
    votes = [(key, weight) for key, weight in subset if key is not None]
    if not votes:
        return 0.0
    least = sorted((weight for _, weight in votes), reverse=True)[math.ceil(kept * len(votes)) - 1]
    weighed: dict[str, list[float]] = {}
    for key, weight in votes:
        if weight >= least:
            weighed.setdefault(key, []).append(weight)
    totals = {key: math.fsum(parts) for key, parts in weighed.items()}
    most = max(totals.values())
    first = [shares[key] for key, total in totals.items() if total == most]
    return math.fsum(first) / len(first)


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
