"""When a run's accuracy rises and then falls: the step of the fall, and the area before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

FALL = 0.5
"""A collapse has lost so much of the highest accuracy before it."""


def collapse_step(steps: Sequence[int], accuracies: Sequence[float]) -> int | None:
    """The first step whose accuracy is below the first one's and half the highest so far, or less.

    It needs labels, so it is for studies. A run that never rises collapses too, where it loses
    half of what it began with. None where there is no such step: then it had not collapsed at the
    steps that were measured. After the Model Collapse Step of arXiv 2603.08660, which is defined
    by the accuracy of the rewards and could be read in summaries alone; this definition is ours.

    >>> collapse_step([0, 10, 20, 30], [0.3, 0.6, 0.35, 0.1])
    30

    ValueError for unequal lengths, and for steps that do not ascend.
    """
    _check(steps, accuracies)
    highest = 0.0
    for step, accuracy in zip(steps, accuracies, strict=True):
        if accuracy < accuracies[0] and accuracy <= FALL * highest:
            return step
        highest = max(highest, accuracy)
    return None


def mean_until(
    steps: Sequence[int], accuracies: Sequence[float], until: int | None = None
) -> float | None:
    """The area under the accuracy by step, by trapezoids, over the steps that it spans.

    From the first step to `until`, one of them, or to the last. So it is a mean accuracy: of two
    runs of one length the larger has had the better policies for longer. A single step's is its
    own; None without one. ValueError as for `collapse_step`, and for an `until` that is no step.
    """
    _check(steps, accuracies)
    if until is not None:
        if until not in steps:
            raise ValueError(f"step {until} was not measured")
        last = list(steps).index(until) + 1
        steps, accuracies = steps[:last], accuracies[:last]
    if len(steps) < 2:
        return accuracies[0] if accuracies else None
    sides = zip(pairwise(steps), pairwise(accuracies), strict=True)
    area = sum((b - a) * (left + right) / 2 for (a, b), (left, right) in sides)
    return area / (steps[-1] - steps[0])


def _check(steps: Sequence[int], accuracies: Sequence[float]) -> None:
    if len(steps) != len(accuracies):
        raise ValueError(f"{len(steps)} steps and {len(accuracies)} accuracies")
    if any(b <= a for a, b in pairwise(steps)):
        raise ValueError("the steps do not ascend")
