"""How alike texts are, by the n-grams of their characters: no model, no vocabulary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def ngram_similarities(texts: Sequence[str], n: int = 3) -> list[list[float]]:
    """Cosine of each pair of texts, from 0 to 1; [K][K], 1 on the diagonal.

    A text is the vector of its n-grams' counts, each times log((1 + K) / (1 + d)) + 1, d the
    number of texts that have it (TF-IDF, smoothed), so that what all share counts least. White
    space is one space, and case does not count. A text shorter than n is one n-gram. An empty
    text is like no other. ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"n = {n}: must be 1 or more")
    counts = [_ngrams(" ".join(text.lower().split()), n) for text in texts]
    seen = Counter(gram for own in counts for gram in own)
    idf = {gram: math.log((1 + len(texts)) / (1 + d)) + 1 for gram, d in seen.items()}
    vectors = [_unit({gram: c * idf[gram] for gram, c in own.items()}) for own in counts]
    return [[1.0 if a is b else _cosine(a, b) for b in vectors] for a in vectors]


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[start : start + n] for start in range(max(1, len(text) - n + 1)) if text)


def _unit(vector: dict[str, float]) -> dict[str, float]:
    length = math.sqrt(math.fsum(value * value for value in vector.values()))
    return {gram: value / length for gram, value in vector.items()}


def _cosine(a: dict[str, float], b: dict[str, float]) -> float:
    small, large = sorted((a, b), key=len)
    return min(1.0, math.fsum(value * large.get(gram, 0.0) for gram, value in small.items()))
