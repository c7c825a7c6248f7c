"""Filters: completions and questions that are left out of the loss, to slow a collapse down."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rlsc.grading import answer_texts, cluster_answers, shared_grader
from rlsc.types import CompletionGroup


def kept_by_filters(
    groups: Sequence[CompletionGroup],
    entropy_floor: float | None,
    skip_unanimous: bool,
    mask_truncated: bool = False,
) -> Tensor:
    """False for completions that a filter leaves out of the loss; [N], bool.

    `entropy_floor` and `skip_unanimous` leave out questions, `mask_truncated` what the cap cut off.
    """
    kept: list[bool] = []
    for group in groups:
        low = entropy_floor is not None and sampled_entropy(group) < entropy_floor
        out = low or (skip_unanimous and _unanimous(group))
        kept += [
            not (out or (mask_truncated and completion.finish_reason == "length"))
            for completion in group.completions
        ]
    return torch.tensor(kept)


def sampled_entropy(group: CompletionGroup) -> float:
    """−Σ log q(y_t) / Σ T over the siblings: an estimate of the entropy a token, in nats."""
    logps = [logp for completion in group.completions for logp in completion.logps]
    return -math.fsum(logps) / len(logps) if logps else 0.0


def _unanimous(group: CompletionGroup) -> bool:
    """Whether all siblings give one answer, or, where none has one, are identical."""
    if len({completion.token_ids for completion in group.completions}) == 1:
        return True
    _, clusters = cluster_answers(answer_texts(group), shared_grader())
    return len(set(clusters)) == 1 and clusters[0] is not None
