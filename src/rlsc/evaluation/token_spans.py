"""Where each token ends in a completion's text: what a reader sees shaded by confidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any


def token_ends(tokenizer: Any, token_ids: Sequence[int], text: str) -> list[int] | None:
    """The number of characters of `text` that are said once each token is there; ascending.

    A token that is only part of a character ends where the one before does, one that was cut off,
    such as a stop string's, where the text does. None where the text is no beginning of what the
    tokens say.
    """
    if not token_ids:
        return []
    pieces = tokenizer.batch_decode(
        [[token_id] for token_id in token_ids], skip_special_tokens=True
    )
    said, ends = "".join(pieces), list(accumulate(map(len, pieces)))
    if said != text:
        whole = tokenizer.decode(list(token_ids), skip_special_tokens=True)
        if whole == text or not said.startswith(text):
            said, ends = whole, _by_windows(tokenizer, list(token_ids))
    if not said.startswith(text) or ends[-1] != len(said):
        return None
    return [min(end, len(text)) for end in ends]


def _by_windows(tokenizer: Any, token_ids: list[int]) -> list[int]:
    """In time linear in the tokens: each is decoded with the last few that make whole text."""
    ends: list[int] = []
    start = read = said = 0
    for index in range(len(token_ids)):
        before = tokenizer.decode(token_ids[start:read], skip_special_tokens=True)
        now = tokenizer.decode(token_ids[start : index + 1], skip_special_tokens=True)
        last = index + 1 == len(token_ids)
        if len(now) > len(before) and (last or not now.endswith("�")):
            said += len(now) - len(before)
            start, read = read, index + 1
        ends.append(said)
    return ends
