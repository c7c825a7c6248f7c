"""Where tokens end, against decoding every beginning."""

from __future__ import annotations

import pytest

from rlsc.evaluation.token_spans import _by_windows, token_ends
from rlsc.models.loading import load_tokenizer
from tests.ascii_model import ascii_tokenizer

TEXTS = ("2 + 2 = 4", "Größe: naïve café", "数学 is 🙂 fun 👩‍🔬!", "\n\n  indented\ttabs", "")


def by_beginnings(tokenizer, ids: list[int]) -> list[int]:
    """The length of each beginning as text; of one that ends within a character, the last's."""
    ends = [0]
    for stop in range(1, len(ids) + 1):
        part = tokenizer.decode(ids[:stop], skip_special_tokens=True)
        ends.append(ends[-1] if part.endswith("�") else len(part))
    return ends[1:]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


@pytest.mark.parametrize("text", TEXTS)
def test_ends_are_those_of_the_beginnings(tokenizer, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = by_beginnings(tokenizer, ids)
    assert token_ends(tokenizer, ids, text) == expected
    assert _by_windows(tokenizer, ids) == expected


def test_special_tokens_have_no_length(tokenizer) -> None:
    ids = [*tokenizer("4", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert token_ends(tokenizer, ids, "4") == [1, 1]


def test_tokens_of_a_stop_string_end_with_the_text() -> None:
    tokenizer = ascii_tokenizer()
    ids = tokenizer("abc STOP", add_special_tokens=False)["input_ids"]
    assert token_ends(tokenizer, ids, "abc ") == [1, 2, 3, 4, 4, 4, 4, 4]
    assert token_ends(tokenizer, ids, "") == [0] * 8


def test_characters_of_several_tokens_before_a_stop_string(tokenizer) -> None:
    text = "🙂 數 = 4"
    cut = tokenizer(text, add_special_tokens=False)["input_ids"]
    more = tokenizer("\nQuestion:", add_special_tokens=False)["input_ids"]
    ends = token_ends(tokenizer, [*cut, *more], text)
    assert ends == [*by_beginnings(tokenizer, cut), *([len(text)] * len(more))]


def test_none_where_the_tokens_say_something_else() -> None:
    tokenizer = ascii_tokenizer()
    ids = tokenizer("abc", add_special_tokens=False)["input_ids"]
    assert token_ends(tokenizer, ids, "bc") is None
    assert token_ends(tokenizer, ids, "abcd") is None
