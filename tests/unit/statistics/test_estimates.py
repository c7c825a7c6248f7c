"""Intervals, paired tests, collisions and repetition, against formulas and enumeration."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from rlsc.statistics.intervals import bootstrap_interval, share, share_interval, wilson_interval
from rlsc.statistics.paired import mcnemar_exact, paired_difference, signed_rank_p
from rlsc.statistics.repetition import ngram_repetition
from rlsc.statistics.votes import collision_probability
from rlsc.types import Estimate


def wilson_by_hand(successes: int, n: int, z: float) -> tuple[float, float]:
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 39), (22, 39), (39, 39), (7, 500)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_is_its_formula(successes: int, n: int, confidence: float) -> None:
    z = stats.norm.ppf((1 + confidence) / 2)
    found = wilson_interval(successes, n, confidence)
    assert found == pytest.approx(wilson_by_hand(successes, n, z), abs=1e-12)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


def test_wilson_defaults_to_95_percent() -> None:
    assert wilson_interval(8, 10) == wilson_interval(8, 10, 0.95)
    assert wilson_interval(8, 10) != wilson_interval(8, 10, 0.9)


def test_bootstrap_of_a_large_sample_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(values.tolist())
    spread = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.02)
    narrow = bootstrap_interval(values.tolist(), confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap_interval(rng.binomial(8, 0.3, 60) / 8) for _ in range(100)]
    covered = sum(low <= 0.3 <= high for low, high in intervals)
    # 100 draws at 95 %: within three standard errors, 2.2 each.
    assert 88 <= covered <= 100


def test_bootstrap_is_reproducible() -> None:
    values = np.random.default_rng(2).normal(size=50).tolist()
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


@pytest.mark.parametrize("value", [-0.5, 0.0, 1.0])
def test_bootstrap_of_equal_values_is_that_value(value: float) -> None:
    assert bootstrap_interval([value] * 7) == (value, value)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_bootstrap_of_fewer_than_two_values_is_unknown(values: list[float]) -> None:
    assert bootstrap_interval(values) is None


def test_bootstrap_is_the_distribution_of_all_resamples() -> None:
    values = [0.0, 0.1, 0.35, 0.5, 0.85, 1.0]
    means = np.sort(np.array(list(product(values, repeat=6))).mean(axis=1))
    low, high = bootstrap_interval(values)
    # 10,000 resamples: three standard errors of a 2.5 % tail are 0.5 %, and an atom adds to it.
    assert (means <= low).mean() == pytest.approx(0.025, abs=0.01)
    assert (means >= high).mean() == pytest.approx(0.025, abs=0.01)


@pytest.mark.parametrize(("right", "n"), [(0, 1), (0, 30), (1, 1), (500, 500), (2, 3), (7, 30)])
def test_share_interval_is_wilsons_where_questions_are_right_or_wrong(right: int, n: int) -> None:
    interval = share_interval([1.0] * right + [0.0] * (n - right), 0.9)
    assert interval == wilson_interval(right, n, 0.9)
    assert interval[1] - interval[0] > 1 / (n + 3)


@pytest.mark.parametrize("values", [[0.0, 0.5, 1.0], [0.5] * 4, [0.0, 0.0, 0.125], [], [0.5]])
def test_share_interval_is_the_bootstrap_elsewhere(values: list[float]) -> None:
    assert share_interval(values, 0.8, 3) == bootstrap_interval(values, 0.8, 3)


def test_share_is_the_mean_with_its_interval() -> None:
    assert share([0.0, 0.5, 1.0]) == Estimate(0.5, share_interval([0.0, 0.5, 1.0]))


def test_share_interval_covers_a_share_near_one() -> None:
    """Two draws in three are all right: the bootstrap alone would miss 0.99 in each of these."""
    rng = np.random.default_rng(4)
    draws = [rng.binomial(1, 0.99, 40).astype(float) for _ in range(60)]
    assert sum(draw.all() for draw in draws) > 30
    covered = sum(low <= 0.99 <= high for low, high in map(share_interval, draws))
    # Wilson's of 38 in 40 ends at 0.986: exactly those with two wrong or more miss, 6 % of draws.
    assert covered == sum(draw.sum() >= 39 for draw in draws) >= 55


def test_paired_difference_is_the_bootstrap_of_the_differences() -> None:
    before, after = [0.0, 0.5, 1.0, 0.25], [0.5, 0.5, 0.75, 1.0]
    difference = paired_difference(before, after, 0.9, 5)
    assert difference.value == 0.25
    assert difference.interval == bootstrap_interval([0.5, 0.0, -0.25, 0.75], 0.9, 5)
    mirrored = paired_difference(after, before)
    assert mirrored.value == -0.25
    low, high = mirrored.interval
    assert low < mirrored.value < high


def test_pairing_removes_the_spread_between_questions() -> None:
    rng = np.random.default_rng(6)
    before = rng.uniform(0, 0.9, 200)
    after = before + 0.05 + rng.normal(0, 0.02, 200)
    difference = paired_difference(before.tolist(), after.tolist())
    low, high = difference.interval
    spread = 1.96 * 0.02 / math.sqrt(200)
    assert difference.value == pytest.approx(0.05, abs=3 * 0.02 / math.sqrt(200))
    assert high - low == pytest.approx(2 * spread, rel=0.2)


def test_paired_difference_of_one_question_has_no_interval() -> None:
    assert paired_difference([0.25], [1.0]) == Estimate(0.75, None)


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], []), ([0.0], [1.0, 1.0])])
def test_paired_difference_refuses(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match=r"at least one|zip\(\)"):
        paired_difference(before, after)


def flipping(kept: int, gained: int, lost: int, wrong: int) -> tuple[list[bool], list[bool]]:
    before = [True] * kept + [False] * gained + [True] * lost + [False] * wrong
    after = [True] * kept + [True] * gained + [False] * lost + [False] * wrong
    return before, after


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (1, 1), (5, 0), (2, 7), (7, 2), (6, 6)])
def test_mcnemar_is_the_share_of_flips_as_uneven(gained: int, lost: int) -> None:
    """Under the null each of the flips goes either way: all 2^d outcomes are equally likely."""
    flips = gained + lost
    uneven = [abs(2 * sum(ups) - flips) for ups in product([0, 1], repeat=flips)]
    expected = sum(one >= abs(gained - lost) for one in uneven) / 2**flips
    found = mcnemar_exact(*flipping(3, gained, lost, 2))
    assert found == (pytest.approx(expected, abs=1e-12), gained, lost)


def test_mcnemar_without_flips_proves_nothing() -> None:
    assert mcnemar_exact(*flipping(3, 0, 0, 2)) == (1.0, 0, 0)
    assert mcnemar_exact([], []) == (1.0, 0, 0)


def test_mcnemar_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        mcnemar_exact([True], [True, False])


@pytest.mark.parametrize("counts", [(10, 9, 3, 8), (0, 1, 0, 0), (100, 40, 62, 298)])
def test_statsmodels_agrees(counts: tuple[int, int, int, int]) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    kept, gained, lost, wrong = counts
    theirs = tables.mcnemar([[kept, lost], [gained, wrong]], exact=True).pvalue
    assert mcnemar_exact(*flipping(*counts)).p == pytest.approx(theirs, rel=1e-9)
    n = sum(counts)
    wilson = proportion.proportion_confint(kept + gained, n, method="wilson")
    assert wilson_interval(kept + gained, n) == pytest.approx(wilson, abs=1e-12)


def test_signed_rank_is_the_share_of_signs_as_uneven() -> None:
    """Four rises of five pairs, 1 to 4, and a fall of 5: enumerated over all 32 signs."""
    changes = [1.0, 2.0, 3.0, 4.0, -5.0]
    after = [10 + change for change in changes]
    total = sum(change for change in changes if change > 0)
    sums = [
        sum(r for r, up in zip(range(1, 6), ups, strict=True) if up)
        for ups in product((0, 1), repeat=5)
    ]
    p = sum(min(s, 15 - s) <= min(total, 15 - total) for s in sums) / 32
    assert signed_rank_p([10.0] * 5, after) == pytest.approx(p)
    assert signed_rank_p(after, after) is None


@pytest.mark.parametrize("outcomes", ["ab", "aa", "aabbb", "abcabcc", "xyzw", "aaaaaaab"])
def test_collision_probability_is_the_share_of_equal_pairs(outcomes: str) -> None:
    pairs = list(combinations(outcomes, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    assert collision_probability(outcomes) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("outcomes", [[], ["a"]])
def test_collision_probability_needs_a_pair(outcomes: list[str]) -> None:
    assert collision_probability(outcomes) is None


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_collision_probability_is_unbiased(k: int) -> None:
    """Its expectation over all K-tuples is Σp² exactly, at every K."""
    policy = {"a": Fraction(1, 2), "b": Fraction(1, 3), "c": Fraction(1, 6)}
    expectation = 0.0
    for outcomes in product(policy, repeat=k):
        estimate = collision_probability(outcomes)
        assert estimate is not None
        expectation += float(math.prod(policy[outcome] for outcome in outcomes)) * estimate
    assert expectation == pytest.approx(float(sum(p * p for p in policy.values())), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "tokens", [[1, 2, 3, 4, 5, 6], [7] * 9, [1, 2] * 6, "to be or not to be or not".split()]
)
def test_ngram_repetition_counts_the_grams_seen_before(tokens: list[object], n: int) -> None:
    grams = [tokens[i : i + n] for i in range(len(tokens) - n + 1)]
    repeats = sum(gram in grams[:i] for i, gram in enumerate(grams))
    assert ngram_repetition(tokens, n) == pytest.approx(repeats / len(grams), abs=1e-15)


def test_ngram_repetition_of_known_texts() -> None:
    assert ngram_repetition([1, 2, 3, 4, 5]) == 0.0
    assert ngram_repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert ngram_repetition([0] * 13) == pytest.approx(9 / 10)  # 10 four-grams, all the same


@pytest.mark.parametrize("tokens", [[], [1], [1, 1, 1]])
def test_ngram_repetition_of_a_text_without_ngrams_is_zero(tokens: list[int]) -> None:
    assert ngram_repetition(tokens) == 0.0


def test_ngram_repetition_is_linear() -> None:
    # Comparing all pairs of these would take hours.
    assert ngram_repetition([*range(100_000), *range(100_000)]) == pytest.approx(0.5, abs=1e-4)


def test_ngram_repetition_needs_a_length() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ngram_repetition([1, 2], 0)
