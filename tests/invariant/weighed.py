"""A step's weights as the trainer gets them, for tests that have no trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlsc.logprobs.scorer import Batch, TokenStats
from rlsc.objectives import Objective
from rlsc.training.weighing import Advantages, Weigher
from rlsc.types import CompletionGroup


def weigh(
    groups: Sequence[CompletionGroup],
    objective: Objective,
    batches: Sequence[Batch],
    score: Callable[[Batch], TokenStats],
    mask_truncated: bool = False,
    **judges: Any,
) -> Advantages:
    prompts = {group.prompt.id: group.prompt.text for group in groups}
    seeds = range(len(groups))
    weigher = Weigher(objective, prompts, **judges)
    return weigher.weigh(groups, seeds, lambda: batches, score, 0.5, mask_truncated)
