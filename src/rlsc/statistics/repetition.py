"""How much of a text repeats itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def ngram_repetition(tokens: Sequence[Hashable], n: int = 4) -> float:
    """Share of a text's n-grams that repeat an earlier one: 1 − distinct / all, in [0, 1).

    seq-rep-n of arXiv 1908.04319, in linear time. `tokens` are token ids or words (a plain
    string counts characters). 0 for fewer than n tokens; ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n-grams of n = {n}: must be at least 1")
    grams = len(tokens) - n + 1
    if grams < 1:
        return 0.0
    distinct = set(zip(*(tokens[start : start + grams] for start in range(n)), strict=True))
    return 1 - len(distinct) / grams
