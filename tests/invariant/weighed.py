"""A step's weights as the trainer gets them, for tests that have no trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from rlsc.logprobs.scorer import Batch, TokenStats
from rlsc.objectives import Objective
from rlsc.training.auxiliary import AuxiliaryModels
from rlsc.training.filters import kept_by_filters
from rlsc.training.weighing import Advantages, Forward, Source, advantages
from rlsc.types import AnswerKey, CompletionGroup, Pool


def weigh(
    groups: Sequence[CompletionGroup],
    objective: Objective,
    batches: Sequence[Batch],
    score: Callable[[Batch], TokenStats],
    mask_truncated: bool = False,
    of_reference: bool = False,
    answers: AnswerKey | None = None,
    answer_NT: Tensor | None = None,
    some_labels: bool = False,
    votes: Mapping[str, CompletionGroup] | None = None,
    gaps: Callable[[Tensor], Tensor] | None = None,
    **models: Any,
) -> Advantages:
    prompts = {group.prompt.id: group.prompt.text for group in groups}
    return advantages(
        [Pool(group.prompt.id, (group,)) for group in groups],
        objective,
        AuxiliaryModels(**models),
        Forward(lambda: batches, score, 0.5, of_reference, gaps),
        Source(prompts, answers, some_labels, votes or {}),
        range(len(groups)),
        kept_by_filters(groups, None, False, mask_truncated),
        answer_NT,
    )
