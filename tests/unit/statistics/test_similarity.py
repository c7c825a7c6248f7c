"""Similarity of texts by n-grams, from the definition."""

from __future__ import annotations

import math

import pytest

from rlsc.statistics import ngram_similarities


def test_by_hand() -> None:
    """Of "aab" and "b b" by single characters, with the weights of two texts."""
    both, one = math.log(3 / 3) + 1, math.log(3 / 2) + 1  # b is in both texts, a and space in one
    first = {"a": 2 * one, "b": both}
    second = {"b": 2 * both, " ": one}
    dot = first["b"] * second["b"]
    lengths = [math.sqrt(sum(v * v for v in each.values())) for each in (first, second)]
    found = ngram_similarities(["aab", "b b"], 1)
    assert found[0][1] == found[1][0] == pytest.approx(dot / lengths[0] / lengths[1], rel=1e-12)


def test_what_counts_as_alike() -> None:
    same = ngram_similarities(["Add  three\nand five", "add three and five", "12", "", ""])
    assert same[0][1] == pytest.approx(1.0)
    assert same[0][2] == same[0][3] == same[3][4] == 0.0
    assert [row[place] for place, row in enumerate(same)] == [1.0] * 5
    short = ngram_similarities(["7", "7", "8"])  # shorter than an n-gram
    assert short[0] == [1.0, pytest.approx(1.0), 0.0]
    assert ngram_similarities([]) == []
    near, far = ngram_similarities(["we add 3 to 8", "we add 3 to 9", "eight plus three"])[0][1:]
    assert 0 <= far < near < 1


def test_an_n_gram_has_a_character() -> None:
    with pytest.raises(ValueError, match="n = 0"):
        ngram_similarities(["a"], 0)
