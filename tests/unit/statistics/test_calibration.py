"""AUROC and the reliability curve, against all pairs and against hand-made bins."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from rlsc.statistics.calibration import (
    auroc,
    calibration_of,
    confidence,
    expected_calibration_error,
    reliability_curve,
)
from rlsc.types import Calibration, ReliabilityBin


def auroc_over_pairs(scores: list[float], labels: list[bool]) -> float:
    right = [score for score, label in zip(scores, labels, strict=True) if label]
    wrong = [score for score, label in zip(scores, labels, strict=True) if not label]
    return sum((a > b) + 0.5 * (a == b) for a, b in product(right, wrong)) / len(right) / len(wrong)


def test_confidence_is_the_geometric_mean_of_the_tokens_probabilities() -> None:
    logprob = math.log(0.5) + math.log(0.8) + math.log(0.1)
    assert confidence(logprob, 3) == pytest.approx((0.5 * 0.8 * 0.1) ** (1 / 3), abs=1e-15)
    assert confidence(0.0, 4) == 1.0
    assert confidence(1e-6, 4) == 1.0  # rounding
    assert confidence(-math.inf, 2) == 0.0
    assert confidence(0.0, 0) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auroc_is_the_share_of_pairs_in_order(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, 60) / levels).tolist()
    labels = (rng.random(60) < 0.4).tolist()
    assert auroc(scores, labels) == pytest.approx(auroc_over_pairs(scores, labels), abs=1e-14)


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [True, True, False, False], 0.0),
        ([0.3] * 5, [True, False, True, False, False], 0.5),
        ([-math.inf, -3.0, -1.0], [False, True, True], 1.0),
        ([2.0, 1.0, 2.0], [True, False, False], 0.75),
    ],
)
def test_auroc_of_known_orders(scores: list[float], labels: list[bool], expected: float) -> None:
    assert auroc(scores, labels) == expected


@pytest.mark.parametrize("labels", [[], [True, True], [False]])
def test_auroc_needs_both_classes(labels: list[bool]) -> None:
    assert auroc([0.5] * len(labels), labels) is None


def test_auroc_depends_on_the_order_alone() -> None:
    rng = np.random.default_rng(7)
    scores, labels = rng.normal(size=50), (rng.random(50) < 0.5).tolist()
    assert auroc(np.exp(scores).tolist(), labels) == auroc(scores.tolist(), labels)


def test_the_curve_of_known_bins() -> None:
    curve = reliability_curve([0.0, 0.1, 0.5, 0.6, 1.0], [False, True, True, False, True], bins=2)
    assert curve == [
        ReliabilityBin(0.0, 0.5, 2, pytest.approx(0.05), 0.5),
        ReliabilityBin(0.5, 1.0, 3, pytest.approx(0.7), pytest.approx(2 / 3)),
    ]
    error = 2 / 5 * abs(0.5 - 0.05) + 3 / 5 * abs(2 / 3 - 0.7)
    assert expected_calibration_error(curve) == pytest.approx(error, abs=1e-15)


@pytest.mark.parametrize("bins", [1, 3, 7, 10, 100])
def test_each_bin_is_what_falls_between_its_edges(bins: int) -> None:
    rng = np.random.default_rng(bins)
    edges = [i / bins for i in range(bins + 1)]
    values = [*edges, *rng.random(200).tolist()]
    labels = (rng.random(len(values)) < 0.5).tolist()
    curve = reliability_curve(values, labels, bins)
    for part in curve:
        pairs = zip(values, labels, strict=True)
        inside = [(p, y) for p, y in pairs if part.low <= p < part.high or p == part.high == 1]
        assert part.n == len(inside)
        assert part.mean_confidence == pytest.approx(sum(p for p, _ in inside) / len(inside))
        assert part.accuracy == pytest.approx(sum(y for _, y in inside) / len(inside))
    assert [part.low for part in curve] == edges[:-1]
    assert sum(part.n for part in curve) == len(values)


def test_all_three_figures_at_once() -> None:
    confidences, labels = [0.1, 0.2, 0.9], [False, True, True]
    figures = calibration_of(confidences, labels)
    curve = reliability_curve(confidences, labels)
    assert figures == Calibration(3, 1.0, expected_calibration_error(curve), tuple(curve))
    assert calibration_of([], []) == Calibration(0, None, None, ())


def test_empty_bins_are_left_out() -> None:
    curve = reliability_curve([0.05, 0.95, 0.95], [False, True, True])
    assert [(part.low, part.high, part.n) for part in curve] == [(0.0, 0.1, 1), (0.9, 1.0, 2)]
    assert reliability_curve([], []) == []
    assert expected_calibration_error([]) is None


def test_a_calibrated_model_has_a_small_error_and_a_boastful_one_its_boast() -> None:
    rng = np.random.default_rng(8)
    p = rng.uniform(0, 1, 20_000)
    honest = (rng.random(20_000) < p).tolist()
    boastful = (rng.random(20_000) < p / 2).tolist()
    # 2,000 a bin: a bin's accuracy has a standard error of 1.1 % at most, its mean |error| 0.9 %.
    assert expected_calibration_error(reliability_curve(p.tolist(), honest)) < 0.02
    error = expected_calibration_error(reliability_curve(p.tolist(), boastful))
    assert error == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_a_probability_outside_0_and_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not in"):
        reliability_curve([0.5, value], [True, False])


def test_what_cannot_be_paired_or_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="2 scores for 1 labels"):
        auroc([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="2 scores for 1 labels"):
        reliability_curve([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="not a number"):
        auroc([0.1, math.nan], [True, False])
    with pytest.raises(ValueError, match="at least 1"):
        reliability_curve([0.1], [True], bins=0)
