r"""Where in a completion its final answer stands."""

from __future__ import annotations

import re

from rlsc.grading.extract.answer import extract_answer
from rlsc.grading.extract.own_words import own_words
from rlsc.grading.extract.passages import last_match

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def answer_span(text: str, answer: str | None = None) -> tuple[int, int] | None:
    r"""First character of the final answer and the one behind its last, [start, end).

    `answer` is what `extract_answer` finds, which is called where it is not given. Of several
    places the last one in the completion's own words counts, in its last box where that has it;
    an answer is not looked for within a longer number or word. None where there is no answer, and
    where reading has rewritten it (`\dfrac12` of an HTML fraction, two boxes as one), so that it
    does not stand in the text.

    >>> text = "3 + 8 = 11, so the answer is 11."
    >>> answer_span(text), text[29:31]
    ((29, 31), '11')
    """
    answer = extract_answer(text) if answer is None else answer
    if not answer:
        return None
    own = own_words(text)
    offset = max(0, text.find(own)) if own else 0
    region = text[offset : offset + len(own)] if text.startswith(own, offset) else text[offset:]
    pattern = _pattern(answer)
    box = last_match(_BOX, region)
    answered = pattern.search(region, box.start()) if box else None
    answered = answered or last_match(pattern, region)
    return (offset + answered.start(), offset + answered.end()) if answered else None


def names_before(text: str, answer: str) -> set[str]:
    """The names that the text gives the answer for: x of `$x = 5$`, n and x of `n = x = 5`, AB."""
    span = answer_span(text, answer)
    named = _NAMED.search(text[max(0, span[0] - 100) : span[0]]) if span else None
    if named is None:
        return set()
    between = (named[2] or "").strip()
    return {named[1], between} if _NAME.fullmatch(between) else {named[1]}


_NAME = re.compile(r"[A-Za-z]|[A-Z]{2}")
_NAMED = re.compile(r"(?<![\w\\^_{}(')])([A-Za-z]|[A-Z]{2})\s*=(?:([^=$\n,;]{1,60})=)?[\s{]*$")


def _pattern(answer: str) -> re.Pattern[str]:
    """The answer as it is spelt, but for white space, and not as a part of a longer word."""
    spelt = r"\s*".join(re.escape(part) for part in answer.split())
    left = r"(?<![\w.])" if answer[0].isalnum() else ""
    right = r"(?!\w|\.\d)" if answer[-1].isalnum() else ""
    return re.compile(f"{left}{spelt}{right}")
