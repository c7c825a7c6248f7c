"""Answers on disk: one JSON line a sample, in the same shape wherever a model is evaluated."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsc.errors import OutputError
from rlsc.records.conversion import from_json
from rlsc.records.files import write_text
from rlsc.types import Spent


@dataclass(frozen=True)
class AnswerRow:
    """One sampled answer to one question, and what grading says of it."""

    id: str
    """Of the question."""
    sample: int
    """Its number among the samples of the question, from 0."""
    prompt: str
    text: str
    tokens: int
    logprob: float
    """Of the whole answer in nats, under the distribution that was sampled from."""
    finish_reason: str
    max_new_tokens: int
    seconds: float
    """Its share of the time that sampling its block took."""
    answer: str | None = None
    """As extracted; None: there is none."""
    verdict: str | None = None
    """A `Verdict`'s value; None where the question has no reference answer."""
    grading_seconds: float = 0.0
    key: str | None = None
    """What it votes by, where that is not its own answer's `answer_key`: that of another which it
    equals, its own after a timeout, a program's value."""
    token_ends: Sequence[int] | None = None
    """Characters of the text that are said once each token is there; of first samples only."""
    token_logps: Sequence[float] | None = None
    spent: Spent | None = None
    """Of an answer whose steps a critic judged."""


_FIELDS = [field.name for field in dataclasses.fields(AnswerRow)]
_NEEDED = {f.name for f in dataclasses.fields(AnswerRow) if f.default is dataclasses.MISSING}
_NEEDED |= {"answer", "verdict"}


def rows_file(folder: Path, task: str, label: str) -> Path:
    """Where the answers to a task in a setting are."""
    return folder / task / f"{label}.jsonl"


def read_rows(file: Path) -> list[AnswerRow]:
    """The rows of whole lines; one cut off by a kill is not one. None where there is no file.

    Raises `OutputError` that names the line at fault.
    """
    if not file.exists():
        return []
    rows: list[AnswerRow] = []
    with file.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break
            try:
                content = json.loads(line)
                if not isinstance(content, dict) or not content.keys() >= _NEEDED:
                    raise ValueError("not a sample")
                known: dict[str, Any] = {name: content.get(name) for name in _FIELDS}
                if known["spent"] is not None:
                    known["spent"] = from_json(Spent, known["spent"])
                rows.append(AnswerRow(**known))
            except ValueError as error:
                raise OutputError(
                    f"{file}, line {len(rows) + 1} is damaged ({error}): "
                    "start again with --overwrite, or cut the file before it"
                ) from error
    return rows


def append_rows(file: Path, rows: Iterable[AnswerRow]) -> None:
    """Write them behind those that are there, and wait until they are on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(map(as_line, rows)))
        out.flush()
        os.fsync(out.fileno())


def write_rows(file: Path, rows: Iterable[AnswerRow]) -> None:
    """Replace the file, by `write_text`."""
    write_text(file, "".join(map(as_line, rows)))


def as_line(row: AnswerRow) -> str:
    """JSON in plain ASCII; what few rows have is left out where there is none."""
    optional = ("key", "token_ends", "token_logps", "spent")
    content = {n: value for n, value in vars(row).items() if value is not None or n not in optional}
    if row.spent is not None:
        content["spent"] = vars(row.spent)
    return json.dumps(content) + "\n"
