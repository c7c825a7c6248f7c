"""Which reference answers a run may use, where it is to use a few."""

from __future__ import annotations

from collections.abc import Collection

from rlsc.engines import seed_for
from rlsc.objectives import Objective
from rlsc.training.arguments import RLSCConfig
from rlsc.types import AnswerKey

_ALL = 2**63


def labels_in_use(answers: AnswerKey | None, args: RLSCConfig) -> AnswerKey | None:
    """The reference answers that `label_share` leaves: each question's own draw, by the run's seed.

    So whether a question keeps its answer depends on its id alone, not on the others or their
    order. All of them without `label_share`, and with 1.
    """
    if answers is None or args.label_share in (None, 1):
        return answers
    least = args.label_share * _ALL
    kept = [name for name in answers if seed_for(args.seed, "label", name) < least]
    return AnswerKey({name: answers[name] for name in kept})


def labels_used(objective: Objective, ids: Collection[str], answers: AnswerKey | None) -> int:
    """How many of these questions have an answer that the objective judges by."""
    if "labels" not in objective.weights_need or answers is None:
        return 0
    return sum(name in answers for name in ids)
