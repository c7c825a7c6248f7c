"""Completions without padding, and each beginning that they share once.

The sequences of a micro-batch, prompt and completion, form a tree: where they share their
beginning, each token of it stands once, and every sequence is a path. Linear layers, norms and
the vocabulary head see each token of the tree once; attention alone goes along the paths
(`tree_attention.py`). The last token of a completion predicts nothing and is left out.
Shapes: _N tokens of the tree, _B rows, _L the longest path, _T completion tokens, _U tokens that
predict something, _M pairs of such a token and one that follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
from torch import Tensor

from rlsc.logprobs.padded_rows import Rows, ScoredSequence


@dataclass(frozen=True)
class TreeBatch(Rows):
    """The rows of a micro-batch as one tree."""

    token_ids_N: Tensor
    position_ids_N: Tensor
    path_BL: Tensor
    """Where in the tree each token of a row stands; 0 past its end."""
    first_N: Tensor
    """Each token's place, b · L + l, in the first row that passes it."""
    places: Tensor
    """All places of token 0, then those of token 1, …"""
    starts_N: Tensor
    """Where in `places` each token's begin."""
    predictor_U: Tensor
    pair_at_M: Tensor
    """Of each pair the index in `predictor_U`, ascending."""
    pair_token_M: Tensor
    pair_BT: Tensor
    """Which pair each completion token is; 0 outside the mask."""

    @property
    def tokens(self) -> int:
        """The tokens that a forward computes."""
        return len(self.token_ids_N)

    def to(self, device: torch.device) -> TreeBatch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: x.to(device) for name, x in values.items() if isinstance(x, Tensor)}
        return replace(self, **(values | tensors))


def make_tree(rows: Sequence[ScoredSequence], share: bool = True) -> TreeBatch:
    """Rows in an order in which neighbours share the most; `share` False: a path each."""
    token_ids: list[int] = []
    positions: list[int] = []
    paths: list[list[int]] = []
    pairs: dict[tuple[int, int], int] = {}
    pairs_of: list[list[int]] = []
    before: ScoredSequence | None = None
    for row in rows:
        inputs = row.tokens[:-1]
        # A sequence may go on where the one before ends, whose last token has no place.
        same = min(_agree(before, row), len(inputs), len(paths[-1])) if share and before else 0
        new = range(len(token_ids), len(token_ids) + len(inputs) - same)
        path = [*(paths[-1][:same] if same else ()), *new]
        token_ids += inputs[same:]
        positions += range(same, len(inputs))
        start = len(row.prompt_ids) - 1
        following = zip(path[start:], row.completion_ids, strict=True)
        pairs_of.append([pairs.setdefault(pair, len(pairs)) for pair in following])
        paths.append(path)
        before = row
    path_BL, _ = _padded(paths)
    pair_BT, mask_BT = _padded(pairs_of)
    first_N, places, starts_N = _places(paths, path_BL.shape[1], len(token_ids))
    at_M, token_M = torch.tensor(list(pairs)).unbind(1)
    order_M = at_M.argsort(stable=True)
    predictor_U, pair_at_M = at_M[order_M].unique_consecutive(return_inverse=True)
    return TreeBatch(
        rows=tuple(rows),
        completion_mask_BT=mask_BT,
        token_ids_N=torch.tensor(token_ids),
        position_ids_N=torch.tensor(positions),
        path_BL=path_BL,
        first_N=first_N,
        places=places,
        starts_N=starts_N,
        predictor_U=predictor_U,
        pair_at_M=pair_at_M,
        pair_token_M=token_M[order_M],
        pair_BT=order_M.argsort()[pair_BT],
    )


def make_tree_batches(
    rows: Sequence[ScoredSequence], tokens_per_microbatch: int, share: bool = True
) -> list[TreeBatch]:
    """Cut rows into as few trees of at most so many tokens as their order allows, of like size.

    A tree's first row counts without its prompt, which would else leave no room for siblings to
    share it; and it is there however long it is. Deterministic.
    """
    if not rows:
        return []
    ordered = sorted(rows, key=lambda row: (row.tokens, row.members))
    if not share:
        ordered.sort(key=lambda row: -row.length)  # of like length: attention pads to the longest
    costs = [len(row.tokens) - 1 for row in ordered]
    saved, free = [0] * len(ordered), [0] * len(ordered)
    if share:
        saved[1:] = [
            min(_agree(row, following), len(row.tokens) - 1, len(following.tokens) - 1)
            for row, following in pairwise(ordered)
        ]
        free = [len(row.prompt_ids) for row in ordered]

    def cut(budget: int) -> list[int]:
        return _cut(costs, saved, free, budget)

    number = len(cut(tokens_per_microbatch))
    low, high = 0, tokens_per_microbatch
    while low < high:  # the smallest budget with as many
        middle = (low + high) // 2
        low, high = (low, middle) if len(cut(middle)) <= number else (middle + 1, high)
    return [make_tree(ordered[a:b], share) for a, b in pairwise([0, *cut(low)])]


def _cut(costs: Sequence[int], saved: Sequence[int], free: Sequence[int], budget: int) -> list[int]:
    """Where runs of at most `budget` end; only a run's first row has `free` tokens."""
    ends: list[int] = []
    total = costs[0] - free[0]
    for index in range(1, len(costs)):
        total += costs[index] - saved[index]
        if total > budget:
            ends.append(index)
            total = costs[index] - free[index]
    return [*ends, len(costs)]


def _agree(first: ScoredSequence, second: ScoredSequence) -> int:
    """How many tokens both begin with."""
    same = 0
    for a, b in zip(first.tokens, second.tokens, strict=False):
        if a != b:
            break
        same += 1
    return same


def _padded(lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """As one tensor, 0 past each end, and where the lists are."""
    lengths = torch.tensor([len(values) for values in lists])
    longest = int(lengths.max())
    padded = torch.tensor([[*values, *[0] * (longest - len(values))] for values in lists])
    return padded, torch.arange(longest) < lengths[:, None]


def _places(paths: Sequence[Sequence[int]], width: int, tokens: int) -> tuple[Tensor, ...]:
    """`TreeBatch.first_N`, `places` and `starts_N`; `width`: of the longest path."""
    flat = [row * width + column for row, path in enumerate(paths) for column in range(len(path))]
    node = torch.tensor([token for path in paths for token in path])
    places = torch.tensor(flat)[node.argsort(stable=True)]
    counts_N = node.bincount(minlength=tokens)
    starts_N = counts_N.cumsum(0) - counts_N
    return places[starts_N], places, starts_N
