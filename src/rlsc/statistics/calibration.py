"""Does a model's confidence predict that it is right? AUROC and the reliability curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rlsc.types import Calibration, ReliabilityBin


def confidence(logprob: float, tokens: int) -> float | None:
    """exp(log-prob per token) in [0, 1], from a completion's summed log-prob in nats.

    The geometric mean of its tokens' probabilities. None for no token.
    """
    # Rounding can lift a sum of log-probs a little above 0.
    return min(1.0, math.exp(logprob / tokens)) if tokens else None


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Probability that a right sample scores above a wrong one; ties count half.

    Mann and Whitney's U over the number of pairs; any scale of the scores will do. None when one
    class is empty; ValueError for unequal lengths and for scores that are not a number.
    """
    ranked, right = _paired(scores, labels)
    if np.isnan(ranked).any():
        raise ValueError("a score is not a number")
    positives = int(right.sum())
    pairs = positives * (len(right) - positives)
    if not pairs:
        return None
    rank_sum = float(stats.rankdata(ranked)[right].sum())
    return (rank_sum - positives * (positives + 1) / 2) / pairs


def reliability_curve(
    probabilities: Sequence[float], labels: Sequence[bool], bins: int = 10
) -> list[ReliabilityBin]:
    """Accuracy by confidence, in `bins` equal parts of [0, 1], lowest first; arXiv 1706.04599.

    Empty bins are left out, so the bins' `n` sum to the number of samples. ValueError for unequal
    lengths, for bins < 1 and for a probability outside [0, 1].
    """
    if bins < 1:
        raise ValueError(f"{bins} bins: must be at least 1")
    confidences, right = _paired(probabilities, labels)
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    if not len(confidences):
        return []
    # Not linspace, whose 0.30000000000000004 would put 0.3 below its own bin.
    edges = np.arange(bins + 1) / bins
    means, _, number = stats.binned_statistic(
        confidences, [confidences, right.astype(float)], "mean", bins=edges
    )
    counts = np.bincount(number - 1, minlength=bins)
    return [
        ReliabilityBin(
            float(edges[i]), float(edges[i + 1]), int(n), float(means[0][i]), float(means[1][i])
        )
        for i, n in enumerate(counts)
        if n
    ]


def expected_calibration_error(curve: Sequence[ReliabilityBin]) -> float | None:
    """Mean over samples of |accuracy − mean confidence| of their bin, in [0, 1].

    arXiv 1706.04599, equation 3. 0 is calibrated; None for no sample.
    """
    total = sum(part.n for part in curve)
    if not total:
        return None
    return sum(part.n * abs(part.accuracy - part.mean_confidence) for part in curve) / total


def calibration_of(confidences: Sequence[float], labels: Sequence[bool]) -> Calibration:
    """All three figures at once. ValueError for unequal lengths."""
    curve = reliability_curve(confidences, labels)
    return Calibration(
        n=len(labels),
        auroc=auroc(confidences, labels),
        error=expected_calibration_error(curve),
        curve=tuple(curve),
    )


def _paired(scores: Sequence[float], labels: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} scores for {len(labels)} labels")
    return np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
