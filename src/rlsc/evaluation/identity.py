"""What an evaluation is of: its questions, what judges them, the prompts as they are asked."""

from __future__ import annotations

from collections.abc import Iterable

from rlsc.evaluation.asking import Asked
from rlsc.grading import VERSION
from rlsc.records import content_hash, question_parts, reference_parts
from rlsc.types import Task


def questions_of_task(task: Task) -> dict[str, str]:
    """Whatever judges stored answers anew must find them as they were."""
    return question_parts(task.name, task.questions)


def judging_of_task(task: Task) -> dict[str, str]:
    """References, options and rules: verdicts by others do not compare."""
    ids = [question.id for question in task.questions]
    references = reference_parts(task.name, ids, task.answers)
    if task.kind != "math":
        options = {name: list(texts) for name, texts in task.choices.items()}
        checks = [[name, vars(task.checks[name])] for name in sorted(task.checks)]
        references[f"{task.name} kind of answer"] = content_hash([task.kind, options, *checks])
    return {**references, "grading rules": str(VERSION)}


def prompts_of(asked: Iterable[Asked]) -> dict[str, str]:
    """Token ids in every setting, task by task."""
    by_task: dict[str, list[object]] = {}
    for each in asked:
        prompts = [[prompt.id, prompt.token_ids] for prompt in each.prompts]
        by_task.setdefault(each.task.name, []).append(prompts)
    return {f"{name} prompts": content_hash(prompts) for name, prompts in by_task.items()}
