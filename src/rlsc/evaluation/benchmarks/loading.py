"""Benchmarks to evaluate on: read from the Hub or a folder, checked, and held against training.

Left out: a cache of our own (`datasets` keeps one), and paraphrases: `overlap` finds a question
that was copied, however it was typeset, not one that was reworded.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from rlsc.data.questions import read_hub_rows, read_jsonl_rows
from rlsc.errors import ConfigError, QuestionError
from rlsc.evaluation.benchmarks.table import (
    BENCHMARKS,
    GPQA_CORRECT,
    PAPER,
    AnswerKind,
    Benchmark,
    Converter,
    Item,
    folder_form,
)
from rlsc.types import LETTERS, AnswerKey, Question

Row = Mapping[str, Any]


@dataclass(frozen=True)
class BenchmarkSet:
    """A benchmark's questions and their answers, and where they came from.

    ``choices`` has the options of each multiple-choice question by id, in the order of their
    letters. ``available`` counts the rows of ``source`` before a limit.
    """

    benchmark: Benchmark
    questions: tuple[Question, ...]
    answers: AnswerKey
    choices: Mapping[str, tuple[str, ...]]
    source: str
    available: int

    @property
    def kind(self) -> AnswerKind:
        return self.benchmark.kind

    @property
    def complete(self) -> bool:
        """Whether these are all `benchmark.n` questions, no fewer and no more."""
        return len(self.questions) == self.available == self.benchmark.n


def parse_names(names: str) -> list[str]:
    """Benchmarks of a comma list, e.g. ``aime24, math500``; ``all`` stands for the eight.

    Raises `ConfigError` for an unknown name, one given twice, or none at all.
    """
    found: list[str] = []
    for name in filter(None, map(str.strip, names.split(","))):
        found += PAPER if name == "all" else [_find(name).name]
    if not found:
        raise ConfigError(f"no benchmark is named; choose from: {_listing()}")
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise ConfigError(f"benchmark named twice: {', '.join(twice)}")
    return found


def load_benchmark(name: str, data_dir: Path | None = None, limit: int = 0) -> BenchmarkSet:
    """Read benchmark `name` from the folder `data_dir`, else from the Hub; `limit` keeps the first.

    Raises `QuestionError` naming the file and line, or the data set and row, at fault. Another
    number of rows than expected is no error, but leaves the set not `complete`.
    """
    benchmark = _find(name)
    if limit < 0:
        raise ConfigError(f"limit is {limit}: give the number of questions, or 0 for all")
    if data_dir is None:
        rows, source = _from_hub(benchmark)
    else:
        rows, source = _from_folder(benchmark, Path(data_dir))
    items = _checked(benchmark, rows)
    kept = items[:limit] if limit else items
    return BenchmarkSet(
        benchmark=benchmark,
        questions=tuple(Question(item.id, item.text) for item in kept),
        answers=AnswerKey({item.id: item.answer for item in kept}),
        choices={item.id: item.choices for item in kept if item.choices},
        source=source,
        available=len(items),
    )


def _find(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1, cutoff=0.4)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"no benchmark {name!r}{hint}; choose from: {_listing()}")
    return BENCHMARKS[name]


def _listing() -> str:
    return f"{', '.join(BENCHMARKS)}, or all (the first {len(PAPER)})"


# Sources.


def _from_hub(benchmark: Benchmark) -> tuple[list[tuple[str, Item]], str]:
    try:
        rows = read_hub_rows(benchmark.hub, benchmark.config, benchmark.split, benchmark.revision)
    except QuestionError as error:
        raise QuestionError(f"benchmark {benchmark.name}: {error}; {_advice(benchmark)}") from error
    numbered = _of_subjects(rows, benchmark.subjects) if benchmark.subjects else _numbered(rows)
    if not numbered:
        raise QuestionError(f"benchmark {benchmark.name}: {benchmark.hub} has none of its subjects")
    items = [(where, _convert(benchmark.convert, row, n, where)) for where, row, n in numbered]
    revision = "@" + benchmark.revision if benchmark.revision else " (revision not pinned)"
    return items, benchmark.hub + revision


def _advice(benchmark: Benchmark) -> str:
    files = ", ".join(" or ".join(names) for names in benchmark.files)
    local = f"put {files} into a folder and name it with --data_dir"
    if not benchmark.gated:
        return f"without the Hub, {local}"
    terms = f"accept its terms at https://huggingface.co/datasets/{benchmark.hub}"
    return f"it is gated: {terms}, then run `hf auth login`; or {local}"


def _numbered(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, Row, int]]:
    return [(where, row, number) for number, (where, row) in enumerate(rows)]


def _of_subjects(
    rows: Iterable[tuple[str, Row]], subjects: Sequence[str]
) -> list[tuple[str, Row, int]]:
    """Rows of `subjects`, in their order, numbered within each."""
    by_subject: dict[Any, list[tuple[str, Row]]] = defaultdict(list)
    for where, row in rows:
        by_subject[row.get("subject")].append((where, row))
    return [found for subject in subjects for found in _numbered(by_subject[subject])]


def _from_folder(benchmark: Benchmark, folder: Path) -> tuple[list[tuple[str, Item]], str]:
    if not folder.is_dir():
        raise QuestionError(f"benchmark {benchmark.name}: there is no folder {folder}")
    items: list[tuple[str, Item]] = []
    sources: list[str] = []
    for names in benchmark.files:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            advice = f"; {_advice(benchmark)}" if benchmark.gated else ""
            raise QuestionError(
                f"benchmark {benchmark.name}: no {' or '.join(names)} in {folder}{advice}"
            )
        rows = _read_csv(path) if path.suffix == ".csv" else read_jsonl_rows(path)
        for where, row, number in _numbered(rows):
            # GPQA is also read as its authors give it out.
            own_form = benchmark.gated and (GPQA_CORRECT in row or path.suffix == ".csv")
            convert = benchmark.convert if own_form else folder_form(path.stem)
            items.append((where, _convert(convert, row, number, where)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(f"{path} (sha256 {digest[:12]})")
    return items, ", ".join(sources)


def _read_csv(path: Path) -> list[tuple[str, Row]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QuestionError(f"{path} cannot be read as a table: {error}") from error
    if not rows:
        raise QuestionError(f"{path} has no rows")
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1)]


def _convert(convert: Converter, row: Row, number: int, where: str) -> Item:
    try:
        return convert(row, number)
    except KeyError as error:
        has = ", ".join(map(str, row)) or "nothing"
        raise QuestionError(f"{where}: no column {error.args[0]!r} (it has {has:.200})") from error
    except ValueError as error:
        raise QuestionError(f"{where}: {error}") from error


def _checked(benchmark: Benchmark, rows: Iterable[tuple[str, Item]]) -> list[Item]:
    """The items, none of them unusable. A gold that grading cannot parse is left to grading."""
    items: list[Item] = []
    seen: set[str] = set()
    for where, item in rows:
        fault = _fault(item, benchmark.kind)
        if item.id in seen:
            fault = "this id is used twice"
        if fault:
            raise QuestionError(f"{where} (id {item.id!a}): {fault}")
        seen.add(item.id)
        choices = item.choices if benchmark.kind == "choice" else ()
        items.append(Item(item.id, item.question, item.answer, choices))
    return items


def _fault(item: Item, kind: AnswerKind) -> str | None:
    try:
        "".join((item.id, item.question, item.answer, *item.choices)).encode()
    except UnicodeEncodeError:
        return "it holds half a character (lone surrogate)"
    if not item.question:
        return "the question is empty"
    if not item.answer:
        return "there is no answer"
    if kind != "choice":
        return None
    if not 2 <= len(item.choices) <= len(LETTERS) or not all(item.choices):
        return f"it needs 2 to {len(LETTERS)} options, none of them empty"
    letters = LETTERS[: len(item.choices)]
    if len(item.answer) != 1 or item.answer not in letters:
        return f"the answer {item.answer!r:.40} is not one of its letters {letters}"
    return None


# Overlap with training.

_LOOKALIKES = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u2032", "'")
    | {"\u2044": "/"}
)
_NOTHING = re.compile(r"\\[,!]|\\?\$|\\[()\[\]]|(?<=\d),(?=\d{3}(?!\d))")
_SPACE = re.compile(r"\\[;:> ]|~|\\(?:q?quad|left|right|[bB]igg?[lr]?|displaystyle)(?![a-zA-Z])")
# Of these only what stands between digits (1.5, 3:4) or before one (.5) tells numbers apart.
_PUNCTUATION = re.compile(r"[?\"`\u201c\u201d]|(?<!\d)[,;:]|[.,;:](?!\d)")
_BRACES = re.compile(r"(?<!\\)\{(\w)\}")
_OPTION = re.compile(r"^[ \t]*\(?([A-J])[.):][ \t]+", re.MULTILINE)


def normalise(text: str) -> str:
    """What is left of `text` when typesetting is taken away: equal for copies of a question.

    >>> normalise("Find $x^{2}\\, +\\;1,000$.") == normalise("find x^2 + 1000")
    True

    Digits, operators and words stay, so that questions with other numbers differ.
    """
    text = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES).replace("{,}", ",")
    text = _SPACE.sub(" ", _NOTHING.sub("", text)).casefold()
    text = re.sub(r"\\[dt]frac(?![a-z])", r"\\frac", text)
    text = " ".join(_BRACES.sub(r"\1", _PUNCTUATION.sub(" ", text)).split())
    # A space is kept between two digits only: "1 2" is not 12, but "3 x" is 3x.
    return re.sub(r"(?<!\d) | (?!\d)", "", text)


def overlap(training: Sequence[Question], evaluated: Sequence[Question]) -> list[str]:
    """Ids of the `evaluated` questions that were trained on, by normalised text.

    A multiple-choice question counts when its stem was trained on without options, or with these
    in any order, or with some more or some fewer; a stock stem ("Which is true?") with others
    does not.
    """
    trained: dict[str, list[frozenset[str]]] = defaultdict(list)
    for question in training:
        stem, options = _parts(question.text)
        trained[stem].append(options)

    def was_trained_on(question: Question) -> bool:
        stem, options = _parts(question.text)
        return any(known <= options or options <= known for known in trained.get(stem, ()))

    return [question.id for question in evaluated if was_trained_on(question)]


def _parts(text: str) -> tuple[str, frozenset[str]]:
    """Normalised stem, and options: the last lines that run A, B, … in order."""
    marks = list(_OPTION.finditer(text))
    letters = "".join(mark[1] for mark in marks)
    first = letters.rfind("AB")
    if first < 0:
        return normalise(text), frozenset()
    pairs = zip(marks[first:], LETTERS, strict=False)
    run = [mark for mark, _ in takewhile(lambda pair: pair[0][1] == pair[1], pairs)]
    ends = [mark.start() for mark in run[1:]] + [len(text)]
    options = (text[mark.end() : end] for mark, end in zip(run, ends, strict=True))
    return normalise(text[: run[0].start()]), frozenset(map(normalise, options))
