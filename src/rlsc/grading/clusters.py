"""Which of a question's answers are equal, without a reference; an answer's key for counting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlsc.grading.extract.answer import extract_answer
from rlsc.grading.extract.boxes import boxed
from rlsc.grading.extract.own_words import own_words
from rlsc.grading.extract.passages import without_name
from rlsc.grading.notation.normalise import normalise
from rlsc.grading.notation.numbers import number

if TYPE_CHECKING:
    from rlsc.grading.api import Grader

Clusters = tuple[int | None, ...]
_LONGEST = 1000
"""Longer answers are compared as they are: bringing them into form costs quadratic time."""


def cluster_answers(
    texts: Sequence[str], grader: Grader
) -> tuple[tuple[str | None, ...], Clusters]:
    """The final answer of each text, and its cluster: equal answers have one number, from 0.

    None where a text has no answer: unanswered completions form no cluster. Numbers, and texts
    spelt alike, are compared by `answer_key`; only where other answers are left does `grader`
    compare them as mathematics, in its guarded process. Where that goes over its limit the keys
    alone decide. An expression that is not worked out (3 + 8) is no vote for its value, unless
    it is boxed.
    """
    answers = tuple(extract_answer(text) for text in texts)
    keys = [None if answer is None else answer_key(answer) for answer in answers]
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, index)
    places = {key: place for place, key in enumerate(first)}
    if sum(not _is_number_key(key) for key in first) and len(first) > 1:
        described = [
            [answers[index], boxed(own_words(texts[index])) is not None, _is_number_key(key)]
            for key, index in first.items()
        ]
        merged = grader.clusters(described)
        if merged is not None:
            places = dict(zip(first, merged, strict=True))
    return answers, tuple(None if key is None else places[key] for key in keys)


def vote_keys(texts: Sequence[str], grader: Grader) -> list[str | None]:
    """What the final answer of each text votes by: one key for the answers of one cluster.

    It is the `answer_key` of the cluster's first answer; None where a text has no answer.
    """
    answers, clusters = cluster_answers(texts, grader)
    first: dict[int | None, str] = {}
    for answer, cluster in zip(answers, clusters, strict=True):
        if answer is not None and cluster not in first:
            first[cluster] = answer_key(answer)
    return [None if cluster is None else first[cluster] for cluster in clusters]


def answer_key(answer: str) -> str:
    r"""Equal for two answers when they are one number, or one text in LaTeX spelling.

    Cheap and safe enough for training, where every completion is keyed at every step. It does no
    algebra: $x + 1$ and $1 + x$ have two keys. Beside a number neither a whole currency in words
    counts nor a thing and what it is counted by, since whether a text says `5 dollars` or `5`
    hangs on where its sentence ends: `5 dollars`, `5 euros` and `5 eggs per week` have the key of
    5. Units do: `50 cents`, `5 km` and `5 km per hour` have keys of their own.

    >>> answer_key(r"\dfrac12") == answer_key("0.5")
    True
    """
    if len(answer) > _LONGEST:
        return re.sub(r"\s+", "", answer)
    plain = normalise(without_name(answer))
    value = number(plain)
    # No text has a space in its key, so no text looks like a number's.
    return f" {value}" if value is not None else re.sub(r"[\s$]+", "", plain)


def _is_number_key(key: str) -> bool:
    """Whether a key is a number's: two such keys are equal exactly when the numbers are."""
    return key.startswith(" ")
