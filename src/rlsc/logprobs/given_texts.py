"""Log-probs of texts that are given, not sampled: such as of the two verdicts of a critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from rlsc.logprobs.padded_rows import make_rows
from rlsc.logprobs.scorer import Scorer
from rlsc.types import Completion, CompletionGroup, Prompt


def score_texts(
    scorer: Scorer,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    texts: Sequence[Sequence[str]],
    on_progress: Callable[[int], None] | None = None,
) -> list[CompletionGroup]:
    """Of each prompt its texts, in place of completions, with log-probs (nats, temperature 1).

    `on_progress` is told of each prompt.
    """
    groups = []
    for prompt, of_prompt in zip(prompts, texts, strict=True):
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in of_prompt]
        made = [
            Completion(text, tuple(of_text), (), "stop")
            for text, of_text in zip(of_prompt, ids, strict=True)
        ]
        groups.append(CompletionGroup(prompt, made))
    rows = make_rows(groups, merge_duplicates=False)
    logps: dict[int, tuple[float, ...]] = {}
    for batch in scorer.cut(rows) if rows else ():
        with torch.no_grad():
            logps_BT = scorer.evaluate(batch, 1.0).logps_BT
        for row, of_row in zip(batch.rows, logps_BT.tolist(), strict=True):
            logps[row.members[0]] = tuple(of_row[: len(row.completion_ids)])
    scored_groups, start = [], 0
    for group in groups:
        scored = [
            replace(completion, logps=logps[start + place])
            for place, completion in enumerate(group.completions)
        ]
        scored_groups.append(replace(group, completions=scored))
        start += len(scored)
        if on_progress is not None:
            on_progress(1)
    return scored_groups
