"""Both error rates of a critic of steps, and its accuracy at finding the first error.

One accuracy hides which of the two is better: a critic that calls all steps correct has most of
them right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, harmonic_mean

from rlsc.records import AnswerRow
from rlsc.statistics import share
from rlsc.types import AnswerKey, StepRates, Verdict

_INCORRECT = "B"
_RIGHT = Verdict.CORRECT.value


def step_rates(rows: Sequence[AnswerRow], references: AnswerKey) -> StepRates | None:
    """Of rows whose ids are SOLUTION/STEP; a verdict that is missing is not right.

    First errors are of solutions that were asked about to their last step alone, and a step's
    verdict is its first sample's. None where steps of one of the two kinds are missing.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        right[row.id].append(row.verdict == _RIGHT)
    wrong_steps = {name for name in right if references[name] == _INCORRECT}
    of_wrong = [fmean(right[name]) for name in right if name in wrong_steps]
    of_right = [fmean(right[name]) for name in right if name not in wrong_steps]
    if not of_wrong or not of_right:
        return None
    a, b = share(of_right), share(of_wrong)
    erroneous, clean = _first_errors(right, wrong_steps, references)
    return StepRates(
        n_right=len(of_right),
        n_wrong=len(of_wrong),
        right=a,
        wrong=b,
        mean=(a.value + b.value) / 2,
        harmonic=harmonic_mean([a.value, b.value]),
        invalid=fmean(row.verdict == Verdict.UNPARSED.value for row in rows),
        n_erroneous=len(erroneous),
        n_clean=len(clean),
        erroneous=share(erroneous) if erroneous else None,
        clean=share(clean) if clean else None,
        f1=harmonic_mean([fmean(erroneous), fmean(clean)]) if erroneous and clean else None,
    )


def _first_errors(
    right: dict[str, list[bool]], wrong_steps: set[str], references: AnswerKey
) -> tuple[list[float], list[float]]:
    """1 where the first step called incorrect is the first wrong one; where none is, if none is.

    A missing verdict is right of no step. Of a solution every verdict up to its last must be right.
    """
    asked: dict[str, list[str]] = defaultdict(list)
    for name in references:
        asked[name.rpartition("/")[0]].append(name)
    erroneous: list[float] = []
    clean: list[float] = []
    for names in asked.values():
        if all(name in right for name in names):
            figure = float(all(right[name][0] for name in names))
            (erroneous if names[-1] in wrong_steps else clean).append(figure)
    return erroneous, clean
