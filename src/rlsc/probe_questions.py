"""Which questions the guard asks; their answers are not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from rlsc.evaluation_run import EvaluationSet, questions_of
from rlsc.questions import QuestionSet
from rlsc.run_config import RunConfig
from rlsc.types import Question

FEWEST = 16
"""Held-out questions that are left over from the evaluation are asked if they are so many."""


def probe_questions(
    config: RunConfig, questions: QuestionSet, evaluated: EvaluationSet | None
) -> tuple[Sequence[Question], str]:
    """The questions, and in words what they are.

    Those of `--guard_questions`; else held-out ones that the run is not evaluated on; else, where
    those are too few, training questions, the first in their order.
    """
    size = config.guard_probe_size
    if not size:
        return (), "none"
    if config.guard_questions is not None:
        found = questions_of(config, config.guard_questions)
        return (found.held_out or found.train)[:size], found.name
    taken = {question.id for question in evaluated.questions} if evaluated else set()
    left = [question for question in questions.held_out if question.id not in taken]
    if len(left) >= min(FEWEST, size):
        return left[:size], "held-out questions that are not evaluated on"
    return questions.train[:size], "training questions"
