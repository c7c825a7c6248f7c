"""Which answers of a question vote as one: those that training's clusters hold equal.

Found once, when answers are judged, and kept in their rows. So figures and reports need no grader,
and no text of a model is compared outside its guarded processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rlsc.grading import Grader, after_prompt, answer_key, vote_keys
from rlsc.records import AnswerRow

COMPARED_KINDS = ("math", "numeric")
"""Not choices: in an evaluation their answers are letters, found by options that training is not
told. Nor programs, whose answers have the keys of their values."""


def with_votes(rows: Sequence[AnswerRow], kind: str, grader: Grader) -> list[AnswerRow]:
    """The same answers, in order; those of a question that are equal vote by one key.

    `key` is written where it says more than the row's own `answer`: of an answer that is equal to
    one before it, and of one that has a vote although its verdict is a timeout. Answers without a
    verdict do not vote.
    """
    if kind not in COMPARED_KINDS:
        return list(rows)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.verdict is not None:
            places.setdefault(row.id, []).append(place)
    several = [own for own in places.values() if len(own) > 1]
    texts = [[after_prompt(rows[n].prompt, rows[n].text) for n in own] for own in several]
    voting = list(rows)
    key_lists = grader.side_by_side(partial(vote_keys, grader=grader), texts)
    for own, keys in zip(several, key_lists, strict=True):
        for place, key in zip(own, keys, strict=True):
            answer = rows[place].answer
            known = answer is not None and key == answer_key(answer)
            voting[place] = replace(rows[place], key=None if known else key)
    return voting
