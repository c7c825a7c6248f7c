"""`--compare_to`: another evaluation of the same tasks, read and held against this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rlsc.errors import ConfigError, OutputError
from rlsc.evaluation.identity import judging_of_task, questions_of_task
from rlsc.evaluation.outcome import Side
from rlsc.records import (
    ComparedTo,
    EvaluationFolder,
    EvaluationResults,
    changed_parts,
    listed,
    read_results_of,
    read_rows,
)
from rlsc.types import Task

_PROTOCOL = (
    *(
        "template",
        "system_prompt",
        "chat_template_kwargs",
        "shots",
        "samples",
        "temperature",
        "top_p",
        "top_k",
    ),
    *("max_new_tokens", "seed", "engine", "dtype"),
)


class Baseline:
    """Another evaluation of the same questions, to which this one is compared.

    Raises `ConfigError` where there is none, or of other questions.
    """

    def __init__(self, folder: Path, tasks: Sequence[Task]) -> None:
        self._folder = EvaluationFolder(folder)
        try:
            self._results = read_results_of(EvaluationResults, folder)
        except OutputError as error:
            raise ConfigError(f"--compare_to {folder}: no finished evaluation: {error}") from error
        for task in tasks:
            if task.name not in self._results.tasks:
                raise ConfigError(f"--compare_to {folder} was not evaluated on {task.name}")
            self._check(task)

    def _check(self, task: Task) -> None:
        folder = self._folder.path
        label = self._results.tasks[task.name].tuned.main.setting.label
        rows = read_rows(self._folder.rows(task.name, label))
        ids = list(dict.fromkeys(row.id for row in rows))
        try:
            other = changed_parts(folder, questions_of_task(task))
            judged = changed_parts(folder, judging_of_task(task))
        except OutputError as error:
            raise ConfigError(f"--compare_to: {error}; evaluate it again") from error
        if other or ids != [question.id for question in task.questions]:
            raise ConfigError(
                f"--compare_to {folder}: its {len(ids)} questions of {task.name} are not the "
                f"{len(task.questions)} of this evaluation; give both the same --limit and data"
            )
        if judged:
            raise ConfigError(
                f"--compare_to {folder}: its answers were judged by other {listed(judged)}: rlsc "
                f"eval --regrade {folder} judges them by those of now"
            )

    def side(self, task: str) -> Side:
        """Its scores on a task."""
        return Side(self._folder.samples, task, self._results.tasks[task].tuned)

    def describe(self, settings: Mapping[str, object]) -> ComparedTo:
        """Where it is, and the settings in which it differs from this evaluation."""
        theirs = self._folder.read_settings()
        return ComparedTo(
            str(self._folder.path),
            self._results.model,
            tuple(
                f"{key} {theirs.get(key)} → {settings.get(key)}"
                for key in _PROTOCOL
                if theirs.get(key) != settings.get(key)
            ),
        )
