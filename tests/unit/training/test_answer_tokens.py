"""The tokens of the final answer."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from rlsc.evaluation import token_ends
from rlsc.models.loading import load_tokenizer
from rlsc.training.answer_tokens import answer_mask
from rlsc.types import Completion, CompletionGroup, Prompt


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


def group(tokenizer, *texts: str, prompt: str = "q") -> CompletionGroup:
    made = []
    for text in texts:
        ids = (*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)
        made.append(Completion(text, ids, (0.0,) * len(ids), "stop"))
    return CompletionGroup(Prompt("q", prompt, (1,)), made)


def test_the_mask_is_on_the_answers_tokens_alone(tokenizer) -> None:
    texts = ("3 + 8 = 11, so it is 11.", "I cannot tell", r"Größe: \boxed{1234}", "11")
    groups = [group(tokenizer, *texts[:2]), group(tokenizer, *texts[2:])]
    mask_NT = answer_mask(tokenizer, groups)
    completions = [completion for one in groups for completion in one.completions]
    said = [
        tokenizer.decode([i for i, inside in zip(c.token_ids, row, strict=False) if inside])
        for c, row in zip(completions, mask_NT.tolist(), strict=True)
    ]
    assert [text.strip() for text in said] == ["11", "", "1234", "11"]
    assert mask_NT.shape == (4, max(len(c.token_ids) for c in completions))
    first = completions[0].token_ids
    last = [place for place, inside in enumerate(mask_NT[0].tolist()) if inside]
    assert min(last) > len(first) // 2  # the later of the two places


def test_a_thought_that_the_prompt_opened_moves_nothing(tokenizer) -> None:
    text = "7 and 5 make 12.</think>The answer is 12."
    plain, opened = (
        answer_mask(tokenizer, [group(tokenizer, text, prompt=prompt)])
        for prompt in ("q", "<assistant><think>")
    )
    assert torch.equal(plain, opened)
    assert plain.any()


def test_a_text_cut_at_a_stop_string_has_none(tokenizer) -> None:
    whole = group(tokenizer, "The answer is 12. Bye")
    cut = [Completion("The answer is 12.", c.token_ids, c.logps, "stop") for c in whole.completions]
    assert not answer_mask(tokenizer, [CompletionGroup(whole.prompt, cut)]).any()


@pytest.mark.parametrize("behind", [0, 3, 40, 200])
def test_an_answer_far_from_the_end_is_found_as_near_to_it(tokenizer, behind: int) -> None:
    """Of which the last few tokens are not enough; with a character of several tokens behind it."""
    for ending in (" ok" * behind, " 数学🙂" * behind):
        text = "First 1, then 2. " * 5 + r"So \boxed{1234}, as I said." + ending
        one = group(tokenizer, text)
        (mask_T,) = answer_mask(tokenizer, [one])
        ids = one.completions[0].token_ids
        inside = [place for place, there in enumerate(mask_T.tolist()) if there]
        ends = [0, *(token_ends(tokenizer, ids, text) or ())]
        start = text.index("1234")
        expected = [
            place for place, (a, b) in enumerate(pairwise(ends)) if a < start + 4 and b > start
        ]
        assert inside == expected != []
