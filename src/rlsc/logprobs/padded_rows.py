"""Groups of completions → padded micro-batches. Shapes: _B rows, _L prompt + completion tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rlsc.types import CompletionGroup


@dataclass(frozen=True)
class ScoredSequence:
    """A distinct completion of a question, and which of the step's completions it stands for."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    members: tuple[int, ...]
    """Indices into the step's completions, group after group."""

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        return self.prompt_ids + self.completion_ids


@dataclass(frozen=True)
class Rows:
    """What every micro-batch has, however it is laid out."""

    rows: tuple[ScoredSequence, ...]
    completion_mask_BT: Tensor
    """True on completion tokens, the stop token included; never on the prompt or padding."""

    @property
    def counts_B(self) -> Tensor:
        """How many completions each row stands for."""
        return torch.tensor([len(row.members) for row in self.rows])


@dataclass(frozen=True)
class MicroBatch(Rows):
    """Rows padded into one forward: prompts on the left, completions on the right."""

    input_ids_BL: Tensor
    attention_mask_BL: Tensor
    completion_ids_BT: Tensor

    @property
    def tokens(self) -> int:
        """The tokens that a forward computes, padding included."""
        return self.input_ids_BL.numel()


def make_rows(groups: Sequence[CompletionGroup], merge_duplicates: bool) -> list[ScoredSequence]:
    """One row per completion, or per distinct completion of a question.

    Merging is exact: identical siblings have one log-prob, weight and gradient.
    """
    members: dict[tuple[int, ...], list[int]] = {}
    contents: dict[tuple[int, ...], tuple[tuple[int, ...], tuple[int, ...]]] = {}
    index = 0
    for number, group in enumerate(groups):
        for completion in group.completions:
            key = (number, *completion.token_ids) if merge_duplicates else (index,)
            members.setdefault(key, []).append(index)
            contents[key] = (group.prompt.token_ids, completion.token_ids)
            index += 1
    return [ScoredSequence(*contents[key], tuple(indices)) for key, indices in members.items()]


def make_micro_batches(
    rows: Sequence[ScoredSequence], tokens_per_microbatch: int
) -> list[MicroBatch]:
    """Cut rows into micro-batches of at most so many padded tokens (one row at the least).

    Rows are sorted by length, longest first, so that little is padding and a run that is going
    to exceed memory does so in its first forward. Deterministic.
    """
    ordered = sorted(rows, key=lambda row: (-row.length, row.members))
    batches: list[list[ScoredSequence]] = []
    for row in ordered:
        if batches and _padded_tokens([*batches[-1], row]) <= tokens_per_microbatch:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [pad(batch) for batch in batches]


def pad(rows: Sequence[ScoredSequence]) -> MicroBatch:
    """Rows as tensors. Padding has token id 0, which no mask shows."""
    prompt_length = max(len(row.prompt_ids) for row in rows)
    completion_length = max(len(row.completion_ids) for row in rows)
    input_ids, attention, completion_ids, mask = [], [], [], []
    for row in rows:
        left = prompt_length - len(row.prompt_ids)
        right = completion_length - len(row.completion_ids)
        input_ids.append([0] * left + [*row.prompt_ids, *row.completion_ids] + [0] * right)
        attention.append([0] * left + [1] * row.length + [0] * right)
        completion_ids.append([*row.completion_ids] + [0] * right)
        mask.append([True] * len(row.completion_ids) + [False] * right)
    return MicroBatch(
        tuple(rows),
        torch.tensor(mask),
        torch.tensor(input_ids),
        torch.tensor(attention),
        torch.tensor(completion_ids),
    )


def _padded_tokens(rows: Sequence[ScoredSequence]) -> int:
    prompt = max(len(row.prompt_ids) for row in rows)
    completion = max(len(row.completion_ids) for row in rows)
    return len(rows) * (prompt + completion)
