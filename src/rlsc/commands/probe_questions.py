"""Which questions the guard asks; their answers are not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from rlsc.commands.train_evaluation import OwnTask, questions_of
from rlsc.config import RunConfig
from rlsc.data import QuestionSet
from rlsc.types import Question

FEWEST = 16
"""Held-out questions that are left over from the evaluation are asked if they are so many."""


def probe_questions(
    config: RunConfig, size: int, questions: QuestionSet, evaluated: OwnTask | None
) -> tuple[Sequence[Question], str]:
    """The pool that `size` questions are taken from, and in words what they are.

    Those of `--guard_questions`; else held-out ones that the run is not evaluated on; else, where
    those are too few, training questions, the first in their order. A game has none of these.
    """
    if not size or (config.questions is None and config.guard_questions is None):
        return (), "none"  # of a game nothing is known beforehand
    pool = max(size, config.guard_pool_size)
    if config.guard_questions is not None:
        named = questions_of(config, config.guard_questions, False, config.data_dir)
        return (named.held_out or named.train)[:pool], named.name
    taken = {question.id for question in evaluated.questions} if evaluated else set()
    left = [question for question in questions.held_out if question.id not in taken]
    if len(left) >= min(FEWEST, size):
        return left[:pool], "held-out questions that are not evaluated on"
    return questions.train[:pool], "training questions"
