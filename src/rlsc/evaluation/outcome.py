"""From the rows on disk to the results of a task: scores, the best setting, paired differences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rlsc.evaluation.collecting import unreadable_references
from rlsc.evaluation.scoring import Answers, compare, score
from rlsc.evaluation.steps import step_rates
from rlsc.grading import VERSION, Grader
from rlsc.records import AnswerRow, Best, ModelScores, TaskFacts, TaskResults, read_rows, rows_file
from rlsc.runtime import waiting
from rlsc.types import AnswerKey, Difference, Score, Setting, Task


@dataclass(frozen=True)
class Side:
    """One model's scores on one task, and the folder that has its answers to tasks."""

    folder: Path
    task: str
    scores: ModelScores

    def answers(self, label: str, majority: bool = False) -> Answers:
        """The answers in a setting, read from the disk."""
        return Answers(label, read_rows(rows_file(self.folder, self.task, label)), majority)

    @property
    def main(self) -> Answers:
        return self.answers(self.scores.main.setting.label)

    def best(self) -> Answers | None:
        """The answers in the best setting; None where none was searched for."""
        best = self.scores.best
        return self.answers(best.setting, best.majority) if best else None


def score_side(
    folder: Path, task: str, settings: Iterable[Setting], steps: AnswerKey | None = None
) -> Side:
    """A model's scores in each setting, the first of which is the main one.

    `steps` are the references of a task whose questions are steps: both error rates are told then.
    """
    with waiting(f"scoring {task}"):
        scores = tuple(
            _scored(read_rows(rows_file(folder, task, each.label)), each, steps)
            for each in settings
        )
    return Side(folder, task, ModelScores(scores, best_of(scores)))


def _scored(rows: Sequence[AnswerRow], setting: Setting, steps: AnswerKey | None) -> Score:
    figures = score(rows, setting)
    return figures if steps is None else replace(figures, steps=step_rates(rows, steps))


def best_of(scores: Sequence[Score]) -> Best | None:
    """The highest accuracy or majority; of equals the first. None for a single setting."""
    if len(scores) < 2:
        return None
    figures = [
        Best(each.setting.label, majority, figure)
        for each in scores
        for majority, figure in ((False, each.accuracy), (True, each.majority))
        if figure is not None
    ]
    return max(figures, key=lambda best: best.figure.value, default=None)


def task_results(
    facts: TaskFacts,
    tuned: Side,
    base: Side | None = None,
    also: Sequence[str] = (),
    tried: Sequence[Score] = (),
) -> TaskResults:
    """The tuned model's scores, held against the base's where there is one.

    The main settings are compared, whatever they are, and those `also` named by label. `tried` is
    told of as it is.
    """
    if base is None:
        return TaskResults(facts, tuned.scores, tried=tuple(tried))
    pairs = [(base.main, tuned.main)]
    pairs += [(base.answers(label), tuned.answers(label)) for label in also]
    base_best, tuned_best = base.best(), tuned.best()
    return TaskResults(
        facts,
        tuned.scores,
        base.scores,
        tuple(compare(*pair) for pair in pairs),
        _graded(compare(base_best, tuned.main)) if base_best else None,
        _graded(compare(base_best, tuned_best)) if base_best and tuned_best else None,
        tuple(tried),
    )


def _graded(difference: Difference) -> Difference | None:
    return difference if difference.n else None


def task_facts(
    task: Task,
    max_new_tokens: int,
    trained_on: Collection[str],
    grader: Grader,
    *,
    relation: str = "",
    skipped: Sequence[str] = (),
) -> TaskFacts:
    """What was asked; `trained_on` are ids by `overlap`, `skipped` ids that were not asked."""
    left_out = set(skipped)
    asked = [question for question in task.questions if question.id not in left_out]
    return TaskFacts(
        name=task.name,
        title=task.title,
        kind=task.kind,
        source=task.source,
        version=task.version,
        questions=len(asked),
        available=task.available,
        expected=task.expected,
        complete=task.complete and not left_out,
        max_new_tokens=max_new_tokens,
        grader_version=VERSION,
        relation=relation,
        trained_on=tuple(question.id for question in asked if question.id in trained_on),
        unreadable_references=tuple(unreadable_references(task, grader)),
        skipped=tuple(skipped),
    )
