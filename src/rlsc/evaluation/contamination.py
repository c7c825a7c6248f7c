"""Which evaluated questions were trained on: copies, however they are typeset.

Left out: paraphrases. A question that was reworded is not found.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile

from rlsc.types import LETTERS, Question

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
