"""Which of a question's answers are equal, without a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlsc.grading.extract.answer import extract_answer
from rlsc.grading.extract.boxes import boxed
from rlsc.grading.keys import answer_key, is_number_key

if TYPE_CHECKING:
    from rlsc.grading.api import Grader

Clusters = tuple[int | None, ...]


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
    if sum(not is_number_key(key) for key in first) and len(first) > 1:
        meant = [
            [answers[index], boxed(texts[index]) is not None, is_number_key(key)]
            for key, index in first.items()
        ]
        merged = grader.clusters(meant)
        if merged is not None:
            places = dict(zip(first, merged, strict=True))
    return answers, tuple(None if key is None else places[key] for key in keys)
