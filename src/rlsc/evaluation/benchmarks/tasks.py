"""Tasks by the names that `--benchmarks` takes: the table's, and a user's own.

A name is one of the table's, `all`, `arithmetic[:KIND]`, a data file, or a class of the user's,
`FILE.py:Class` or `package.module:Class`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, get_args

from rlsc.data import (
    QuestionSet,
    has_file_ending,
    load_questions,
    question_set,
    read_rows,
    text_of,
)
from rlsc.environments import PythonJudge
from rlsc.errors import ConfigError, QuestionError
from rlsc.evaluation.benchmarks.item import Item, make_task
from rlsc.evaluation.benchmarks.loading import find_benchmark, listing, load_benchmark
from rlsc.evaluation.benchmarks.table import BENCHMARKS, PAPER, choices_of
from rlsc.records import EVALUATION
from rlsc.runtime import is_user_code, load_user_code
from rlsc.types import AnswerKind, Task

_ARITHMETIC = "arithmetic"


class UserTask:
    """A task of a user's own: subclass it, and name the class in `--benchmarks`.

    `items` gives its questions in a fixed order, the same on every machine.
    """

    name: ClassVar[str] = ""
    """In tables, and of the folder of its answers; by default the class's."""
    title: ClassVar[str] = ""
    kind: ClassVar[AnswerKind] = "math"
    version: ClassVar[int] = 1
    """To be raised when the text or the answer of a question changes."""

    def items(self) -> Iterable[Item]:
        """The questions with their answers."""
        raise NotImplementedError


def parse_names(names: str) -> list[str]:
    """Tasks of a comma list, e.g. ``aime24, my_task.py:MyTask``; ``all`` stands for the eight.

    Raises `ConfigError` for an unknown name, one given twice, or none at all.
    """
    chosen: list[str] = []
    for name in filter(None, map(str.strip, names.split(","))):
        chosen += PAPER if name == "all" else [name if _is_own(name) else find_benchmark(name).name]
    if not chosen:
        raise ConfigError(f"no benchmark is named; choose from: {listing()}")
    _check_once(chosen)
    return chosen


def load_tasks(
    names: str, data_dir: str | None = None, limit: int = 0, sandbox: str = "auto"
) -> list[Task]:
    """All tasks of a comma list; `sandbox` is where programs are run to judge answers.

    Raises `RLSCError` for one that cannot be asked.
    """
    folder = None if data_dir is None else Path(data_dir).expanduser()
    tasks = [
        _own_task(name, limit, sandbox)
        if _is_own(name)
        else load_benchmark(name, folder, limit, sandbox)
        for name in parse_names(names)
    ]
    _check_once([task.name for task in tasks])
    return tasks


def load_task(name: str, data_dir: str | None = None, limit: int = 0) -> Task:
    """One task by the name that `--benchmarks` takes: a benchmark, a data file, a user's class.

    Benchmarks are read from `data_dir`, else from the Hub; `limit` takes the first so many
    questions, 0 all. Raises `RLSCError` for a task that cannot be asked.
    """
    tasks = load_tasks(name, data_dir, limit)
    if len(tasks) != 1:
        raise ConfigError(f"{name} names {len(tasks)} tasks: load_task takes one")
    return tasks[0]


def _check_once(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"benchmark named twice: {', '.join(twice)}")


def _is_own(name: str) -> bool:
    return name == _ARITHMETIC or is_user_code(name) or has_file_ending(name)


def _own_task(name: str, limit: int, sandbox: str = "auto") -> Task:
    if name.partition(":")[0] == _ARITHMETIC:
        questions = load_questions(name)
        return _of_questions(questions, questions.name.replace(":", "-"), limit)
    task = _of_class(name, limit, sandbox) if is_user_code(name) else _of_file(Path(name), limit)
    reserved = task.name == EVALUATION or task.name in BENCHMARKS
    if reserved or not re.fullmatch(r"\w[\w.-]{,99}", task.name):
        why = "is taken" if reserved else "is no name for a folder"
        raise ConfigError(f"--benchmarks {name}: the task's name {task.name!r} {why}")
    return task


def _of_class(name: str, limit: int, sandbox: str) -> Task:
    own = load_user_code("--benchmarks", name)
    try:
        task: Any = own() if isinstance(own, type) else own
        if not isinstance(task, UserTask):
            raise TypeError("it is no rlsc.UserTask")
        kinds = get_args(AnswerKind)
        if task.kind not in kinds:
            raise TypeError(f"its kind is {task.kind!r}, not one of {', '.join(kinds)}")
        items = list(task.items())
        wrong = next((item for item in items if not isinstance(item, Item)), None)
        if wrong is not None:
            raise TypeError(f"its items have {wrong!r:.60}, which is no rlsc.Item")
    except Exception as error:  # the user's own code may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"--benchmarks {name}: {what}") from error
    if task.kind == "python_input":
        PythonJudge.of(sandbox).check()
    own_name = task.name or type(task).__name__
    return make_task(
        own_name,
        task.title or own_name,
        [(f"{name}, item {number}", item) for number, item in enumerate(items)],
        task.kind,
        source=name,
        version=task.version,
        limit=limit,
        sandbox=sandbox,
    )


def _of_file(file: Path, limit: int) -> Task:
    """A data file: a question and `answer`; `id` and `choices` (with a letter as answer) if any."""
    rows = read_rows(file)
    found = question_set(str(file), rows, None)
    answers = {name: found.answers[name] for name in found.answers}
    items = []
    for question, (where, row) in zip(found.train, rows, strict=True):
        try:
            choices = choices_of(row)
        except ValueError as error:
            raise QuestionError(f"{where}: {error}") from error
        name = question.id if text_of(row.get("id")) else f"{file.stem}/{question.id}"
        answer = answers.get(question.id, "")
        items.append((where, Item(name, question.text, answer, choices, question.messages)))
    kind: AnswerKind = "choice" if any(item.choices for _, item in items) else "math"
    return make_task(file.stem, file.name, items, kind, source=str(file), limit=limit)


def _of_questions(questions: QuestionSet, name: str, limit: int) -> Task:
    """Those that are held out, if any are: a model may have been trained on the others."""
    asked = questions.held_out or questions.train
    answers = {name: questions.answers[name] for name in questions.answers}
    items = [(questions.name, Item(q.id, q.text, answers.get(q.id, ""))) for q in asked]
    return make_task(name, questions.name, items, source=questions.name, limit=limit)
