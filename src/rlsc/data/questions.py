"""Where questions come from: built-in arithmetic, a file, a Hub data set."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, permutations
from pathlib import Path
from typing import Any

from rlsc.data.messages import as_prompt, conversation_text
from rlsc.data.rows import Row, Rows, identifiers, is_file, read_hub_rows, read_rows, text_of
from rlsc.errors import ConfigError, QuestionError
from rlsc.runtime import console
from rlsc.types import AnswerKey, Question

QUESTION_COLUMNS = ("question", "prompt", "problem", "messages")
"""Looked for in this order where no column is named."""
ANSWER_COLUMN = "answer"
ARITHMETIC_SOURCE = "arithmetic"


@dataclass(frozen=True)
class QuestionSet:
    """Questions to train on, others held out (none unless built in), and the answers of all."""

    name: str
    train: tuple[Question, ...]
    held_out: tuple[Question, ...] = ()
    validation: tuple[Question, ...] = ()
    """Neither trained on nor held out: what settings may be chosen on."""
    answers: AnswerKey = field(default_factory=lambda: AnswerKey({}))
    preferences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """By id the columns `chosen` and `rejected` as they are, where a row has both."""
    paraphrases: Mapping[str, Question] = field(default_factory=dict)
    """By id the same question in other words, where a row has a column `paraphrase`."""


def load_questions(
    source: str,
    *,
    split: str = "train",
    config: str | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
    split_seed: int = 0,
    needs_answers: bool = True,
) -> QuestionSet:
    """Read `source`: ``arithmetic[:KIND]``, a file (`rows.READERS`), or a Hub data set.

    Without `question_column` the first of `QUESTION_COLUMNS` that there is; a line says which,
    unless that is plain. Answers are in `answer_column`, which must be there unless they are not
    needed; without one in `answer`, if there is any. Raises `QuestionError` with the file and
    line, or the data set and column, at fault.
    """
    if is_built_in(source):
        return arithmetic(source.partition(":")[2] or "single_digit", split_seed)
    if not source:
        raise QuestionError("questions is empty: a file, a Hub data set, or arithmetic")
    rows = read_rows(Path(source)) if is_file(source) else read_hub_rows(source, config, split)
    if needs_answers and answer_column is not None:
        _check_answer_column(source, rows, answer_column)
    return question_set(source, rows, question_column, answer_column or ANSWER_COLUMN)


def is_built_in(source: str) -> bool:
    """Whether it is computed here: such questions have no columns."""
    return source.partition(":")[0] == ARITHMETIC_SOURCE


# Built-in arithmetic: each task is a list of unordered terms, each with the orders it is asked in.

Terms = tuple[int, ...]
_TWO_DIGITS = list(combinations_with_replacement(range(10, 100), 2))
ARITHMETIC: dict[str, Callable[[random.Random], list[Terms]]] = {
    # All 45 unordered pairs of 1..9: 81 questions.
    "single_digit": lambda rng: list(combinations_with_replacement(range(1, 10), 2)),
    # 250 unordered pairs of 10..99: just under 500 questions.
    "two_digit": lambda rng: rng.sample(_TWO_DIGITS, 250),
    # All 165 unordered triples of 1..9: 729 questions.
    "three_terms": lambda rng: list(combinations_with_replacement(range(1, 10), 3)),
}
# Of what is left by the above: the others are too few to spare any.
_VALIDATION = {"two_digit": (_TWO_DIGITS, 20)}


def arithmetic(kind: str = "single_digit", split_seed: int = 0) -> QuestionSet:
    """Additions, about half of them held out.

    The split is by *unordered* terms: where "What is 3 + 8?" is trained on, "What is 8 + 3?" is
    trained on too, so no held-out question mirrors a training one. The same seed gives the same
    split on every machine. Of two-digit sums there are validation questions too.
    """
    if kind not in ARITHMETIC:
        raise ConfigError(
            f"no arithmetic kind {kind!r}: choose one of {', '.join(ARITHMETIC)} "
            "(as in arithmetic:two_digit)"
        )
    rng = random.Random(f"rlsc/arithmetic/{kind}/{split_seed}")
    groups = ARITHMETIC[kind](rng)
    rng.shuffle(groups)
    # An odd group goes to training: 23 pairs to train on, 22 held out for single digits.
    half = (len(groups) + 1) // 2
    train, train_answers = _additions(groups[:half])
    held_out, held_out_answers = _additions(groups[half:])
    every, count = _VALIDATION.get(kind, ([], 0))
    rng = random.Random(f"rlsc/arithmetic/{kind}/{split_seed}/validation")
    others = rng.sample([group for group in every if group not in set(groups)], count)
    validation, validation_answers = _additions(others)
    return QuestionSet(
        f"arithmetic:{kind}",
        tuple(train),
        tuple(held_out),
        tuple(validation),
        AnswerKey(train_answers | held_out_answers | validation_answers),
    )


def _additions(groups: Iterable[Terms]) -> tuple[list[Question], dict[str, str]]:
    questions, answers = [], {}
    for terms in sorted({order for group in groups for order in permutations(group)}):
        identifier = "arithmetic/" + "+".join(map(str, terms))
        text = f"What is {' + '.join(map(str, terms))}?"
        questions.append(Question(identifier, text))
        answers[identifier] = str(sum(terms))
    return questions, answers


# Files and data sets.


def question_set(
    name: str, rows: Rows, question_column: str | None, answer_column: str = ANSWER_COLUMN
) -> QuestionSet:
    """The questions of rows. Raises `QuestionError` for the first that cannot be asked."""
    column = question_column or _find_column(name, rows)
    questions: list[Question] = []
    answers: dict[str, str] = {}
    preferences: dict[str, tuple[Any, Any]] = {}
    paraphrases: dict[str, Question] = {}
    for identifier, (where, row) in zip(identifiers(rows), rows, strict=True):
        question = _question(identifier, row, column, where)
        if question.ends_with_answer and question_column is None and column == "messages":
            raise QuestionError(
                f"{where}: its messages end with the assistant's turn, which the model would go on "
                "with: leave that turn out, or name the column with --question_column messages"
            )
        questions.append(question)
        if row.get(answer_column) is not None:
            answers[identifier] = _answer(row[answer_column], answer_column, where)
        if row.get("chosen") is not None and row.get("rejected") is not None:
            preferences[identifier] = (row["chosen"], row["rejected"])
        if row.get("paraphrase") is not None:
            paraphrases[identifier] = _question(identifier, row, "paraphrase", where)
    return QuestionSet(
        name,
        tuple(questions),
        answers=AnswerKey(answers),
        preferences=preferences,
        paraphrases=paraphrases,
    )


def columns_of(rows: Rows) -> list[str]:
    """The names of all columns that any row has."""
    return list(dict.fromkeys(str(column) for _, row in rows for column in row))


def _find_column(name: str, rows: Rows) -> str:
    columns = columns_of(rows)
    there = [column for column in QUESTION_COLUMNS if column in columns]
    if not there:
        raise QuestionError(
            f"{name}: no column {', '.join(QUESTION_COLUMNS[:-1])} or {QUESTION_COLUMNS[-1]} "
            f"(it has {', '.join(columns) or 'none'}); call one so, or name one with "
            "--question_column of rlsc train"
        )
    if there != [QUESTION_COLUMNS[0]]:
        others = f", not {' or '.join(there[1:])}" if there[1:] else ""
        console.print(f"{name}: questions are in its column {there[0]}{others}", soft_wrap=True)
    return there[0]


def _check_answer_column(name: str, rows: Rows, column: str) -> None:
    if column not in columns_of(rows):
        raise QuestionError(
            f"{name}: no column {column!r} (it has {', '.join(columns_of(rows))}); name that of "
            "the answers with --answer_column"
        )


def _question(identifier: str, row: Row, column: str, where: str) -> Question:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise QuestionError(
            f"{where}: no text under {column!r} (it has {', '.join(map(str, row)) or 'nothing'}); "
            "name the column with --question_column"
        )
    if not isinstance(value, str | list | tuple):
        raise QuestionError(f"{where}: {column!r} is {value!r:.40}, not text")
    prompt = as_prompt(value, f"{where}: {column!r}")
    if isinstance(prompt, str):  # a whole prompt may end with a line break that is meant
        return Question(identifier, prompt if column == "prompt" else prompt.strip())
    text = conversation_text(prompt)
    if not text:
        raise QuestionError(f"{where}: the messages under {column!r} are empty")
    if [message["role"] for message in prompt] == ["user"] and len(prompt[0]) == 2:
        return Question(identifier, text)  # plain, for any template
    return Question(identifier, text, tuple(prompt))


def _answer(value: object, column: str, where: str) -> str:
    try:
        text = text_of(value)
    except ValueError as error:
        raise QuestionError(f"{where}: {column!r}: {error}") from error
    if not text:
        raise QuestionError(f"{where}: {column!r} is empty: null where there is no answer")
    return text
