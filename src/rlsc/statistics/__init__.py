"""Intervals, votes, paired tests, calibration: numbers in, numbers out."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.statistics.calibration import calibration_of, confidence
    from rlsc.statistics.collapse import collapse_step, mean_until
    from rlsc.statistics.intervals import SHARE_INTERVAL, seed_interval, share, wilson_interval
    from rlsc.statistics.paired import mcnemar_exact, paired_difference, signed_rank_p
    from rlsc.statistics.repetition import ngram_repetition
    from rlsc.statistics.similarity import ngram_similarities
    from rlsc.statistics.votes import (
        KEPT,
        collision_probability,
        commonest,
        majority_at_k,
        pass_at_k,
        weighted_majority_at_k,
    )

__getattr__ = lazy_face(__name__)
