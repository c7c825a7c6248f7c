"""A canonical form of an answer, for counting votes without a reference."""

from __future__ import annotations

import re

from rlsc.grading.equality.numbers import number
from rlsc.grading.extract.normalise import normalise

_LONGEST = 1000
"""Longer answers are compared as they are: bringing them into form costs quadratic time."""


def answer_key(answer: str) -> str:
    r"""Equal for two answers exactly when they are one number, or one text in LaTeX spelling.

    Cheap and safe enough for training, where every completion is keyed at every step. It does no
    algebra: $x + 1$ and $1 + x$ have two keys.

    >>> answer_key(r"\dfrac12") == answer_key("0.5")
    True
    """
    if len(answer) > _LONGEST:
        return re.sub(r"\s+", "", answer)
    plain = normalise(answer)
    value = number(plain)
    # No text has a space in its key, so no text looks like a number's.
    return f" {value}" if value is not None else re.sub(r"[\s$]+", "", plain)


def is_number_key(key: str) -> bool:
    """Whether a key is a number's: two such keys are equal exactly when the numbers are."""
    return key.startswith(" ")
