"""Every evaluated question with its answers before and after."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rlsc.evaluation import by_question
from rlsc.records import AnswerRow
from rlsc.report.page import Case, Side

LONGEST = 20_000
"""Characters of an answer that a page holds; the samples' file has all of it."""


def paired(task: str, before: Sequence[AnswerRow], after: Sequence[AnswerRow]) -> Iterator[Case]:
    """Answers to the same questions side by side; one of the two may be empty.

    Of several samples the first is shown; right is what a question's majority is, as in the
    scores' paired difference.
    """
    base, tuned = _sides(before), _sides(after)
    prompts = [{row.id: row.prompt[:LONGEST] for row in rows} for rows in (before, after)]
    for name in base | tuned:
        first, last = (place.get(name) for place in prompts)
        other = last if first is not None and last != first else None
        prompt = first if first is not None else last or ""
        yield Case(task, name, prompt, base.get(name), tuned.get(name), other)


def _sides(rows: Sequence[AnswerRow]) -> dict[str, Side]:
    """Of each question."""
    samples = Counter(row.id for row in rows)
    votes = by_question(row for row in rows if samples[row.id] > 1)  # equal answers take time
    sides: dict[str, Side] = {}
    for row in rows:
        if row.id in sides:
            continue
        several = row.id in votes
        sides[row.id] = Side(
            text=row.text[:LONGEST],
            cut=len(row.text) > LONGEST,
            answer=None if row.answer is None else row.answer[:500],
            verdict=row.verdict or "no reference",
            tokens=row.tokens,
            finish=row.finish_reason,
            samples=samples[row.id],
            right=sum(votes[row.id].right) if several else 0,
            decided=votes[row.id].decided if several else None,
            spans=_spans(row.token_ends, row.token_logps),
        )
    return sides


def _spans(ends: Sequence[int] | None, logps: Sequence[float] | None) -> Sequence[int] | None:
    """Token by token its number of characters, and its probability in hundredths."""
    if not ends or not logps or len(ends) != len(logps) or None in logps:
        return None
    last = bisect_right(ends, LONGEST)  # the tokens that are shown whole
    spans = np.empty((last, 2), np.int32)  # arrays: a report may have millions of tokens
    spans[:, 0] = np.diff(np.array(ends[:last], np.int32), prepend=np.int32(0))
    spans[:, 1] = np.rint(100 * np.exp(np.minimum(np.array(logps[:last]), 0.0)))
    shown: list[int] = spans.ravel().tolist()
    return shown
