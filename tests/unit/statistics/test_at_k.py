"""pass@k and majority@k, against all k-subsets."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import pytest
from scipy import stats

from rlsc.statistics.votes import (
    commonest,
    majority_at_k,
    pass_at_k,
    weighted_majority_at_k,
)


def test_the_commonest_answer_is_the_first_of_several() -> None:
    assert commonest(["b", None, "a", "a", None, None, "b"]) == ("b", 2)
    assert commonest([1, 0, 0]) == (0, 2)
    assert commonest([None]) == commonest([]) == (None, 0)


@pytest.mark.parametrize(
    ("n", "c", "k"),
    [(n, c, k) for n in (1, 2, 5, 8) for c in range(n + 1) for k in range(1, n + 1)],
)
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n: int, c: int, k: int) -> None:
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == sum(map(any, subsets)) / len(subsets)


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_pass_at_k_is_unbiased(k: int) -> None:
    """Its expectation over the number right is 1 − (1 − p)^k, at every n ≥ k."""
    p, n = 0.3, 6
    mean = sum(math.comb(n, c) * p**c * 0.7 ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - 0.7**k, abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(200, 3, 100), (3000, 10, 16), (5000, 40, 700)])
def test_pass_at_k_of_many_samples_is_hypergeometric(n: int, c: int, k: int) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(stats.hypergeom(n, c, k).sf(0), rel=1e-9)


def test_pass_at_k_is_exact_where_floats_would_overflow_or_cancel() -> None:
    assert pass_at_k(5000, 1, 2500) == 0.5  # C(5000, 2500) has 1504 digits
    assert pass_at_k(10**7, 1, 1) == 1e-7  # 1 − 0.9999999 is not
    assert pass_at_k(4000, 0, 16) == 0.0
    assert pass_at_k(4000, 3985, 16) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 5, 2), (4, -1, 2), (4, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="must be from"):
        pass_at_k(n, c, k)


def majority_over_subsets(keys: str, k: int) -> float:
    """All k-subsets, a tie shared among the tied. "-" is no answer; capitals are right."""
    total = Fraction(0)
    for subset in combinations(keys, k):
        votes = {key: subset.count(key) for key in subset if key != "-"}
        winners = [key for key in votes if votes[key] == max(votes.values())]
        if winners:
            total += Fraction(sum(map(str.isupper, winners)), len(winners))
    return float(total / math.comb(len(keys), k))


def found(keys: str, k: int) -> float:
    return majority_at_k([None if x == "-" else x for x in keys], [x.isupper() for x in keys], k)


@pytest.mark.parametrize(
    "keys",
    ["A", "b", "-", "Ab", "AAb", "AAbb", "A-b-", "AAABBccc", "AAbbcc--", "Abcdefg", "ABCdef--",
     "bbbbAAAA-c", "A---------", "AAAAAAA", "bbb-c", "AAABBBccdd"],
)  # fmt: skip
def test_majority_at_k_is_the_mean_over_all_subsets(keys: str) -> None:
    for k in range(1, len(keys) + 1):
        assert found(keys, k) == majority_over_subsets(keys, k)


def test_majority_at_k_of_every_small_group() -> None:
    for keys in product("Abc-D", repeat=5):
        for k in (2, 3, 4):
            assert found("".join(keys), k) == majority_over_subsets("".join(keys), k)


def test_majority_at_k_of_known_groups() -> None:
    assert found("AAb", 3) == 1.0
    assert found("AAbb", 4) == 0.5  # a tie
    assert found("Abc", 3) == pytest.approx(1 / 3)
    assert found("AAb", 2) == pytest.approx(1 / 3 * 1 + 2 / 3 * 0.5)
    assert found("A---", 4) == 1.0  # the only vote wins
    assert found("A---", 1) == 0.25
    assert found("----", 2) == 0.0


def test_majority_at_k_of_all_samples_is_the_vote_when_nothing_ties() -> None:
    for keys in ("AAb", "Abb", "AAAbbcc-", "A--"):
        (winner, _), *_ = Counter(keys.replace("-", "")).most_common()
        assert found(keys, len(keys)) == float(winner.isupper())


def test_majority_at_k_does_not_depend_on_the_order() -> None:
    assert found("AbcAb-A", 4) == found("b-AcAAb", 4)


def test_an_answer_with_two_verdicts_counts_by_the_share_that_is_right() -> None:
    """In whatever order; and by enumeration, a winner being one of its samples in the subset."""
    keys, right = ["a", "a", "b", "a", "b", None], [True, False, True, True, False, True]
    samples = list(zip(keys, right, strict=True))
    for k in range(1, len(keys) + 1):
        total = Fraction(0)
        for subset in combinations(samples, k):
            votes = Counter(key for key, _ in subset if key is not None)
            for winner in [key for key in votes if votes[key] == max(votes.values())]:
                flags = [flag for key, flag in subset if key == winner]
                winners = sum(count == max(votes.values()) for count in votes.values())
                total += Fraction(sum(flags), len(flags) * winners)
        expected = float(total / math.comb(len(keys), k))
        for order in (samples, samples[::-1], samples[3:] + samples[:3]):
            assert majority_at_k(*zip(*order, strict=True), k) == pytest.approx(expected, abs=1e-12)
    assert majority_at_k(["a", "a", "b"], [True, False, False], 3) == 0.5
    assert majority_at_k([None, "a"], [True, False], 2) == 0.0  # no key, no vote


def test_majority_at_1_is_the_accuracy_of_the_answered() -> None:
    keys, right = ["a", "a", "b", "a", None], [True, False, False, True, False]
    assert majority_at_k(keys, right, 1) == pytest.approx(2 / 5)


def test_majority_at_k_of_many_samples() -> None:
    """300 samples of two answers at k = 101, which is odd: the hypergeometric's upper half."""
    expected = stats.hypergeom(300, 160, 101).sf(50)
    assert found("A" * 160 + "b" * 140, 101) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k", [0, 3])
def test_majority_at_k_refuses_a_k_that_cannot_be_drawn(k: int) -> None:
    with pytest.raises(ValueError, match="must be from 1 to 2"):
        majority_at_k(["a", "b"], [True, False], k)


def test_majority_at_k_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        majority_at_k(["a", "b"], [True], 1)


# Votes that weigh what the sample's confidence is.


def weighted_by_hand(keys: str, weights: list[Fraction], k: int, kept: Fraction) -> Fraction:
    """All k-subsets, in exact arithmetic."""
    share = {
        letter: Fraction(keys.count(letter.upper()), keys.lower().count(letter))
        for letter in set(keys.lower()) - {"-"}
    }
    total, subsets = Fraction(0), list(combinations(range(len(keys)), k))
    for subset in subsets:
        voters = sorted((n for n in subset if keys[n] != "-"), key=lambda n: -weights[n])
        if not voters:
            continue
        last = weights[voters[math.ceil(kept * len(voters)) - 1]]
        sums: Counter[str] = Counter()
        for n in voters:
            if weights[n] >= last:
                sums[keys[n].lower()] += weights[n]  # type: ignore[assignment]
        best = [letter for letter, value in sums.items() if value == max(sums.values())]
        total += sum((share[letter] for letter in best), Fraction(0)) / len(best)
    return total / len(subsets)


@pytest.mark.parametrize("keys", ["AabB-", "aaB", "ABc-", "A", "--", "AbbC", "aAbbcC"])
@pytest.mark.parametrize("kept", [Fraction(1), Fraction(1, 2), Fraction(1, 10)])
def test_weighted_votes_are_the_mean_over_all_subsets(keys: str, kept: Fraction) -> None:
    values = [Fraction(v, 8) for v in (3, 8, 1, 4, 4, 2)][: len(keys)]
    for k in range(1, len(keys) + 1):
        found = weighted_majority_at_k(
            [None if x == "-" else x.lower() for x in keys],
            [x.isupper() for x in keys],
            [float(v) for v in values],
            k,
            float(kept),
        )
        assert found == pytest.approx(float(weighted_by_hand(keys, values, k, kept)), abs=1e-12)


@pytest.mark.parametrize("keys", ["AabB-", "aaB", "ABc-", "--"])
def test_equal_weights_are_the_majority(keys: str) -> None:
    letters = [None if x == "-" else x.lower() for x in keys]
    right = [x.isupper() for x in keys]
    for k in range(1, len(keys) + 1):
        found = weighted_majority_at_k(letters, right, [0.3] * len(keys), k)
        assert found == pytest.approx(majority_at_k(letters, right, k), abs=1e-12)


def test_the_surest_wins_against_many() -> None:
    keys, right = ["a", "a", "b"], [False, False, True]
    assert weighted_majority_at_k(keys, right, [0.2, 0.3, 0.6], 3) == 1.0
    assert weighted_majority_at_k(keys, right, [0.2, 0.5, 0.6], 3) == 0.0
    assert weighted_majority_at_k(keys, right, [0.2, 0.5, 0.6], 3, kept=0.1) == 1.0
    assert weighted_majority_at_k(keys, right, [0.0, 0.0, 0.0], 3) == 0.5  # all tie


@pytest.mark.parametrize(
    ("weights", "k", "message"),
    [([0.5], 2, "must be from"), ([-0.1], 1, "below 0"), ([math.nan], 1, "below 0")],
)
def test_weights_that_cannot_vote(weights: list[float], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_majority_at_k(["a"], [True], weights, k)
