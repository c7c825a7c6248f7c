"""Answers about programs: verdicts by the sandbox's values, not by mathematics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rlsc.environments import PythonJudge
from rlsc.grading import after_prompt
from rlsc.records import AnswerRow
from rlsc.types import Task

PYTHON_KINDS = ("python_value", "python_input")


def graded_python(rows: Sequence[AnswerRow], task: Task) -> Iterator[AnswerRow]:
    """The same answers with verdicts; an input is run, beside others, in the task's sandbox.

    Raises `ConfigError` where there is none.
    """
    judge = PythonJudge.of(task.sandbox)
    texts = [
        (after_prompt(row.prompt, row.text), task.answers[row.id], task.checks.get(row.id))
        for row in rows
        if row.id in task.answers
    ]
    judged, seconds = judge.judge(texts)
    verdicts = iter(judged)
    for row in rows:
        if row.id not in task.answers:
            yield replace(row, answer=None, key=None, verdict=None, grading_seconds=0.0)
            continue
        answer, key, verdict = next(verdicts)
        yield replace(
            row,
            answer=answer,
            key=key,
            verdict=verdict.value,
            grading_seconds=round(seconds / len(texts), 4),
        )


def unreadable_python(task: Task) -> list[str]:
    """Ids whose reference is no literal: no answer can equal it."""
    judge = PythonJudge.of(task.sandbox)
    return [
        name
        for name in task.answers
        if not judge.is_readable(task.answers[name], task.checks.get(name))
    ]
