"""Which tokens of a completion are its final answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from rlsc.evaluation import token_ends
from rlsc.grading import answer_span, answer_texts
from rlsc.types import Completion, CompletionGroup

_TAIL = 16
"""So many last tokens are decoded first, then twice as many, until the answer is among them."""


def answer_mask(tokenizer: Any, groups: Sequence[CompletionGroup]) -> Tensor:
    """True on the tokens of each completion's final answer, [N, T], N over all groups.

    A token that is partly the answer, such as one of a digit and the brace behind it, counts.
    Identical completions are looked at once. All False where there is no answer, where it does
    not stand in the text (`rlsc.grading.answer_span`), and where the text was cut at a stop
    string.
    """
    completions = [completion for group in groups for completion in group.completions]
    width = max((len(completion.token_ids) for completion in completions), default=0)
    mask_NT = torch.zeros(len(completions), width, dtype=torch.bool)
    texts = [text for group in groups for text in answer_texts(group)]
    known: dict[tuple[tuple[int, ...], str], list[int]] = {}
    for row, (completion, text) in enumerate(zip(completions, texts, strict=True)):
        key = (completion.token_ids, text)
        if key not in known:
            known[key] = _places(tokenizer, completion, text)
        mask_NT[row, known[key]] = True
    return mask_NT


def _places(tokenizer: Any, completion: Completion, read: str) -> list[int]:
    """The answer's tokens. `read` is the text as it is read for its answer."""
    span = answer_span(read)
    if span is None:
        return []
    shift = len(read) - len(completion.text)  # a tag that the prompt has opened
    start, end = span[0] - shift, span[1] - shift
    ids, text = completion.token_ids, completion.text
    # Mostly near the end: decoding few tokens is much of the cost saved.
    for count in (*takewhile(lambda n: n < len(ids), (_TAIL << n for n in range(32))), len(ids)):
        said = tokenizer.decode(ids[-count:], skip_special_tokens=True)
        if not text.endswith(said) or (count < len(ids) and len(said) <= len(text) - start):
            continue
        ends = token_ends(tokenizer, ids[-count:], said)
        if ends is not None:
            before, first = len(text) - len(said), len(ids) - count
            pairs = enumerate(zip([0, *ends[:-1]], ends, strict=True), first)
            return [p for p, (a, b) in pairs if before + a < end and before + b > start]
    return []
