"""A question with its answer in common form, and the task that a list of them makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rlsc.data import with_suffix
from rlsc.errors import QuestionError
from rlsc.types import LETTERS, AnswerKey, AnswerKind, Check, Message, Question, Task


@dataclass(frozen=True)
class Item:
    """A question and its answer: a letter where there are `choices`.

    >>> Item("mmlu_stem/astronomy/0", "Which is a star?", "B", ("Mars", "Sirius")).answer
    'B'
    """

    id: str
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    """The conversation that the question is, if it is one."""
    check: Check | None = None
    """Of a `python_input`: what its answers are judged by."""

    @property
    def text(self) -> str:
        """As it is asked."""
        return self.asked.text

    @property
    def asked(self) -> Question:
        """The question, and below a blank line its options as ``A. …``, ``B. …``."""
        options = [
            f"{letter}. {choice}" for letter, choice in zip(LETTERS, self.choices, strict=False)
        ]
        suffix = "\n".join(["", "", *options]) if options else ""
        return with_suffix(Question(self.id, self.question, self.messages), suffix)


def make_task(
    name: str,
    title: str,
    items: Iterable[tuple[str, Item]],
    kind: AnswerKind = "math",
    *,
    source: str,
    version: int = 1,
    expected: int | None = None,
    limit: int = 0,
    sandbox: str = "auto",
    steps: bool = False,
) -> Task:
    """The task of (where it stands, item); `limit` keeps the first ones, 0 all.

    Raises `QuestionError` that says where, for an item that cannot be asked or graded. A reference
    that grading cannot parse is no such fault: it is told with the score.
    """
    checked: list[Item] = []
    seen: set[str] = set()
    for where, item in items:
        fault = "this id is used twice" if item.id in seen else _fault(item, kind)
        if fault:
            raise QuestionError(f"{where} (id {item.id!a}): {fault}")
        seen.add(item.id)
        checked.append(item)
    if not checked:
        raise QuestionError(f"benchmark {name}: {source} has no questions")
    kept = checked[:limit] if limit else checked
    # Options are of a multiple-choice question only: others may have them, and are not asked so.
    plain = [item if kind == "choice" else replace(item, choices=()) for item in kept]
    return Task(
        name=name,
        title=title,
        questions=tuple(item.asked for item in plain),
        answers=AnswerKey({item.id: item.answer for item in plain}),
        kind=kind,
        choices={item.id: item.choices for item in plain if item.choices},
        checks={item.id: item.check for item in plain if item.check},
        sandbox=sandbox,
        source=source,
        version=version,
        available=len(checked),
        expected=expected,
        steps=steps,
    )


def _fault(item: Item, kind: AnswerKind) -> str | None:
    try:
        "".join((item.id, item.question, item.answer, *item.choices)).encode()
    except UnicodeEncodeError:
        return "it holds half a character (lone surrogate)"
    if not item.question:
        return "the question is empty"
    if not item.answer:
        return "there is no answer"
    if kind == "python_input" and item.check is None:
        return "there is no check, a program with its output"
    if kind != "choice":
        return None
    if not 2 <= len(item.choices) <= len(LETTERS) or not all(item.choices):
        return f"it needs 2 to {len(LETTERS)} options, none of them empty"
    letters = LETTERS[: len(item.choices)]
    if len(item.answer) != 1 or item.answer not in letters:
        return f"the answer {item.answer!r:.40} is not one of its letters {letters}"
    return None
