"""Which reference answers a run may use, where it is to use a few."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from rlsc.engines import seed_for
from rlsc.environments import Environment, Judge
from rlsc.errors import ConfigError
from rlsc.grading import Item, shared_grader
from rlsc.objectives import Objective
from rlsc.records import listed
from rlsc.runtime import console, is_main, waiting
from rlsc.training.arguments import RLSCConfig
from rlsc.types import AnswerKey, Verdict

_ALL = 2**63
_IS_RIGHT = {Verdict.CORRECT: True, Verdict.WRONG: False}


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


def reads_labels(objective: Objective, environment: Environment) -> bool:
    """Whether completions are judged by reference answers, by either of the two."""
    return "labels" in objective.weights_need or environment.needs_labels


def check_judged(environment: Environment, ids: Collection[str], answers: AnswerKey | None) -> None:
    """Raise `ConfigError` where an environment judges by answers that questions have not.

    References that do not parse are said in a line, by the main process and once.
    """
    if not environment.needs_labels:
        return
    missing = [name for name in ids if answers is None or name not in answers]
    if missing:
        raise ConfigError(
            f"environment {type(environment).__name__} judges answers by reference answers, and "
            f"{len(missing)} of {len(ids)} training questions have none (such as {missing[0]!r}): "
            "name the column with --answer_column"
        )
    if answers is not None and is_main():
        _say_unreadable(answers, tuple(ids))


@lru_cache(maxsize=1)  # said once: the command checks before a model is loaded, its trainer again
def _say_unreadable(answers: AnswerKey, ids: tuple[str, ...]) -> None:
    grader = shared_grader()
    with waiting("reading the answers of the training questions"):
        readable = list(grader.side_by_side(grader.readable, (answers[name] for name in ids)))
    unreadable = [name for name, is_read in zip(ids, readable, strict=True) if not is_read]
    if unreadable:
        console.print(
            f"note: {len(unreadable)} of {len(ids)} reference answers do not parse, so that only "
            f"the same text equals them: {listed(unreadable)}",
            soft_wrap=True,
        )


def judge_by(answers: AnswerKey) -> Judge:
    """What an environment is given in place of the answers: verdicts alone.

    None where a text has no answer that can be read, or comparing it took too long: that it is
    wrong is not known.
    """

    def judge(said: Sequence[tuple[str, str]]) -> list[bool | None]:
        items = [Item(text, answers[name]) for name, text in said]
        return [_IS_RIGHT.get(judgement.verdict) for judgement in shared_grader().grade_all(items)]

    return judge


def labels_used(needed: bool, ids: Collection[str], answers: AnswerKey | None) -> int:
    """How many of these questions have an answer that they are judged by, if they are."""
    if not needed or answers is None:
        return 0
    return sum(name in answers for name in ids)
