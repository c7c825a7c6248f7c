"""Tasks by the names that `--benchmarks` takes: the table's, and a user's own.

A name is one of the table's, `all`, `arithmetic[:KIND]`, a data file, or a class of the user's,
`FILE.py:Class` or `package.module:Class`. `NAME#200-300` is a part of one: ranks 200 to 299 of its
questions in an order that nobody chose (`part_of`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
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
from rlsc.types import AnswerKey, AnswerKind, Task

_ARITHMETIC = "arithmetic"
_PART = re.compile(r"(.+)#(\d+)-(\d+)")


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
        whole = _parted(name)[0]
        if not _is_own(whole) and name != "all":
            find_benchmark(whole)
        chosen += PAPER if name == "all" else [name]
    if not chosen:
        raise ConfigError(f"no benchmark is named; choose from: {listing()}")
    _check_once([_parted(name)[0] for name in chosen])
    return chosen


def load_tasks(
    names: str, data_dir: str | None = None, limit: int = 0, sandbox: str = "auto"
) -> list[Task]:
    """All tasks of a comma list; `sandbox` is where programs are run to judge answers.

    Raises `RLSCError` for one that cannot be asked.
    """
    folder = None if data_dir is None else Path(data_dir).expanduser()
    tasks = [_load(name, folder, limit, sandbox) for name in parse_names(names)]
    _check_once([task.name for task in tasks])
    return tasks


def _load(name: str, folder: Path | None, limit: int, sandbox: str) -> Task:
    """One task, or its part, of which `limit` keeps the first."""
    whole, part = _parted(name)
    of_all = 0 if part else limit
    if _is_own(whole):
        task = _own_task(whole, of_all, sandbox)
    else:
        task = load_benchmark(whole, folder, of_all, sandbox)
    if part is None:
        return task
    if limit < 0:
        raise ConfigError(f"limit is {limit}: give the number of questions, or 0 for all")
    return part_of(task, *part, limit)


def _parted(name: str) -> tuple[str, tuple[int, int] | None]:
    """``gsm8k#200-300`` → ``gsm8k`` and its ranks; None of a whole task."""
    match = _PART.fullmatch(name)
    return (match[1], (int(match[2]), int(match[3]))) if match else (name, None)


def part_of(task: Task, start: int, stop: int, limit: int = 0) -> Task:
    """Ranks `start` to `stop` − 1 of the questions, in the order of a hash of their texts.

    `limit` keeps the first ones, 0 all.

    So neither the file's order, nor an id, nor an answer has a say in which they are, and parts
    whose ranks are disjoint have no question in common. Raises `ConfigError` for ranks that are
    not there, and for steps of solutions, which belong together.
    """
    if task.steps:
        raise ConfigError(
            f"{task.name}: steps of solutions have no parts: --limit keeps whole ones"
        )
    if not start < stop <= len(task.questions):
        of = len(task.questions)
        raise ConfigError(
            f"{task.name}#{start}-{stop}: of its {of} questions name ranks from 0 on, the lower "
            f"one first and the upper one, {of} at most, left out"
        )
    ranked = sorted(task.questions, key=lambda question: _rank(question.text))
    kept = tuple(ranked[start:stop][: limit or None])
    return replace(
        task,
        questions=kept,
        answers=AnswerKey({q.id: task.answers[q.id] for q in kept if q.id in task.answers}),
        source=f"{task.source}, ranks {start} to {stop - 1} by hash",
    )


def _rank(text: str) -> str:
    return hashlib.sha256(f"rlsc/subset/0/{text}".encode()).hexdigest()


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
    questions = question_set(str(file), rows, None)
    answers = {name: questions.answers[name] for name in questions.answers}
    items = []
    for question, (where, row) in zip(questions.train, rows, strict=True):
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
