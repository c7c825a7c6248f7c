"""Where questions come from: built-in arithmetic, a JSONL file, a Hub data set."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, permutations
from pathlib import Path
from typing import Any

from rlsc.errors import ConfigError, QuestionError
from rlsc.runtime import waiting
from rlsc.types import AnswerKey, Question

Row = Mapping[str, Any]
"""A row as its source has it, by column."""
Rows = Sequence[tuple[str, Row]]
"""Each with where it stands, for errors."""


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


def load_questions(
    source: str,
    *,
    split: str = "train",
    config: str | None = None,
    question_column: str = "question",
    answer_column: str = "answer",
    split_seed: int = 0,
) -> QuestionSet:
    """Read `source`: ``arithmetic[:KIND]``, a path that ends in .jsonl, or a Hub data set.

    Raises `QuestionError` with the file and line, or the data set and column, at fault.
    """
    name, _, kind = source.partition(":")
    if name == "arithmetic":
        return arithmetic(kind or "single_digit", split_seed)
    if not source:
        raise QuestionError("questions is empty: FILE.jsonl, a Hub data set, or arithmetic")
    if source.endswith((".jsonl", ".json")) or os.path.exists(source):
        return _from_rows(source, read_jsonl_rows(Path(source)), question_column, answer_column)
    rows = read_hub_rows(source, config, split)
    return _from_rows(source, rows, question_column, answer_column)


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


def read_jsonl_rows(path: Path) -> Rows:
    """Every line of a JSONL file that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise QuestionError(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise QuestionError(f"{path} is a folder: name a .jsonl file in it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} cannot be read as UTF-8 text: {error}") from error
    rows: list[tuple[str, Row]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise QuestionError(f"{where}: not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise QuestionError(f"{where}: each line must be a JSON object, as {{'question': …}}")
        rows.append((where, row))
    if not rows:
        raise QuestionError(f"{path} is empty: one JSON object per line, with a 'question'")
    return rows


def read_hub_rows(name: str, config: str | None, split: str, revision: str | None = None) -> Rows:
    """The rows of a Hub data set; without `revision`, of its newest state."""
    import datasets

    pinned = {} if revision is None else {"revision": revision}
    try:
        with waiting(f"reading {name}"):
            data = datasets.load_dataset(name, config, split=split, **pinned)
    except Exception as error:  # the hub raises many kinds; each means "cannot be loaded"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise QuestionError(
            f"{name!r} is neither a .jsonl file here nor a data set that loads "
            f"(split {split!r}): {reason}"
        ) from error
    if len(data) == 0:
        raise QuestionError(f"{name}, split {split}: no rows")
    return [(f"{name}, row {number}", row) for number, row in enumerate(data)]


def _from_rows(
    name: str,
    rows: Rows,
    question_column: str,
    answer_column: str,
) -> QuestionSet:
    questions: list[Question] = []
    answers: dict[str, str] = {}
    preferences: dict[str, tuple[Any, Any]] = {}
    seen: set[str] = set()
    for number, (where, row) in enumerate(rows):
        text = row.get(question_column)
        if question_column in row and not isinstance(text, str):
            raise QuestionError(f"{where}: {question_column!r} is {text!r:.40}, not text")
        if not isinstance(text, str) or not text.strip():
            raise QuestionError(
                f"{where}: no text under {question_column!r} "
                f"(it has {', '.join(map(str, row)) or 'nothing'}); "
                "name the column with --question_column"
            )
        if not _is_unicode(text):
            raise QuestionError(f"{where}: the question holds half a character (lone surrogate)")
        identifier = str(number if row.get("id") is None else row["id"])
        if not _is_unicode(identifier):
            raise QuestionError(f"{where}: the id holds half a character (lone surrogate)")
        if identifier in seen:
            raise QuestionError(f"{where}: the id {identifier!r} is used twice")
        seen.add(identifier)
        questions.append(Question(identifier, text.strip()))
        if row.get(answer_column) is not None:
            answers[identifier] = str(row[answer_column]).strip()
        if row.get("chosen") is not None and row.get("rejected") is not None:
            preferences[identifier] = (row["chosen"], row["rejected"])
    return QuestionSet(name, tuple(questions), answers=AnswerKey(answers), preferences=preferences)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
