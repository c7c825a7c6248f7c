"""Key/value buffers for siblings that share a prompt.

A question's prompt is held once; each live row holds only the tokens it has sampled, written in
place. The rows' buffers are blocks of tokens, so that growing copies nothing and every block is
contiguous, as the decoding products need it.
Widths are multiples of what a vector register holds: then a row's sums run in the same order
whichever rows lie beside it, and its text is the same to the bit.
Shapes: _G prompts, _B rows, _H key/value heads, _D head size, _P prompt, _T sampled tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

BLOCK = 64  # tokens: widths of blocks are multiples of it
ALIGN = 32  # tokens: so are those of prompts


@dataclass
class Prefill:
    """A forward over whole prompts, padded on the right: prompt i goes to `slots[i]`."""

    slots: Tensor


@dataclass
class Decode:
    """A forward over one new token of every live row; the same for every layer.

    The rows of one prompt are read as one block: `row_at` lists, prompt by prompt, `siblings`
    rows each (any row where there are fewer), and `place_B` finds a row in that list.
    """

    prompts: int
    siblings: int
    row_at: Tensor
    place_B: Tensor
    prompt_lengths_B: Tensor
    lengths_B: Tensor  # sampled tokens in the buffers already: where the new one is written
    width: int  # of all blocks
    writes: list[tuple[int, slice | Tensor, int | Tensor]]  # block, rows, columns
    _masks: dict[tuple[int, int | None], Tensor] = field(default_factory=dict)
    _indices: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def mask(self, prompt_width: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """What to add to scores [B, 1, 1, P + T]; `window`: positions that a token sees."""
        key = (prompt_width, window)
        if key not in self._masks:
            device = self.lengths_B.device
            at_P = torch.arange(prompt_width, device=device)
            at_T = torch.arange(self.width, device=device)
            prompt_B1, own_B1 = self.prompt_lengths_B[:, None], self.lengths_B[:, None]
            hidden_BP, hidden_BT = at_P >= prompt_B1, at_T > own_B1
            if window is not None:
                hidden_BP |= prompt_B1 + own_B1 - at_P >= window
                hidden_BT |= own_B1 - at_T >= window
            hidden = torch.cat([hidden_BP, hidden_BT], 1)
            mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
            self._masks[key] = mask.masked_fill_(hidden, -torch.inf)[:, None, None]
        return self._masks[key]

    def indices(self, heads: int) -> tuple[Tensor, Tensor]:
        """Indices that bring [B · H] to [G · H · siblings], and back."""
        if heads not in self._indices:
            at_H = torch.arange(heads, device=self.row_at.device)
            there = self.row_at.view(self.prompts, 1, self.siblings) * heads + at_H[:, None]
            prompt_B, sibling_B = self.place_B // self.siblings, self.place_B % self.siblings
            back = (prompt_B[:, None] * heads + at_H) * self.siblings + sibling_B[:, None]
            self._indices[heads] = there.flatten(), back.flatten()
        return self._indices[heads]


class RolloutLayer(CacheLayerMixin):
    """One layer's buffers."""

    def __init__(self, cache: RolloutCache) -> None:
        super().__init__()
        self._cache = cache
        self.key_blocks: list[Tensor] = []  # [B, H, block, D]
        self.value_blocks: list[Tensor] = []

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.prompt_keys = key_states.new_zeros(0, key_states.shape[1], 0, key_states.shape[3])
        self.prompt_values = value_states.new_zeros(
            0, value_states.shape[1], 0, value_states.shape[3]
        )
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values, [.., H, tokens, D], and return them as they are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        step = self._cache.step
        if isinstance(step, Prefill):
            width = key_states.shape[2]
            self.prompt_keys = self._fitted(self.prompt_keys)
            self.prompt_values = self._fitted(self.prompt_values)
            self.prompt_keys[step.slots, :, :width] = key_states
            self.prompt_values[step.slots, :, :width] = value_states
        else:
            for index, rows, columns in step.writes:
                self.key_blocks[index][rows, :, columns] = key_states[rows, :, 0]
                self.value_blocks[index][rows, :, columns] = value_states[rows, :, 0]
        return key_states, value_states

    def _fitted(self, buffer: Tensor) -> Tensor:
        slots, width = self._cache.prompt_slots, self._cache.prompt_width
        if (slots, width) == (buffer.shape[0], buffer.shape[2]):
            return buffer
        fitted = buffer.new_zeros(slots, buffer.shape[1], width, buffer.shape[3])
        slots, width = min(slots, buffer.shape[0]), min(width, buffer.shape[2])
        fitted[:slots, :, :width] = buffer[:slots, :, :width]
        return fitted

    def add_block(self, rows: int, width: int) -> None:
        """Zeros, never NaN: masked entries are still multiplied."""
        for blocks, like in (
            (self.key_blocks, self.prompt_keys),
            (self.value_blocks, self.prompt_values),
        ):
            blocks.append(like.new_zeros(rows, like.shape[1], width, like.shape[3]))

    def move_rows(self, source: Tensor, target: Tensor) -> None:
        for block in (*self.key_blocks, *self.value_blocks):
            block[target] = block[source]

    def move_prompts(self, source: Tensor, target: Tensor) -> None:
        for buffer in (self.prompt_keys, self.prompt_values):
            buffer[target] = buffer[source]

    def get_seq_length(self) -> int:
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_max_length(self) -> int:
        return -1


class RolloutCache(Cache):
    """The buffers of all layers, and the step that they are in."""

    layers: list[RolloutLayer]

    def __init__(self, layers: int, device: torch.device, replaces: str) -> None:
        super().__init__(layers=[RolloutLayer(self) for _ in range(layers)])
        self.replaces = replaces  # the model's own attention function, by name
        self.step: Prefill | Decode
        self.prompt_slots = self.prompt_width = self.width = 0
        self.windows: set[int | None] = set()  # that the layers' attention was told of
        self._device = device
        self._starts: list[int] = []  # of the blocks

    def reserve_prompts(self, slots: int, width: int) -> None:
        """Room for `slots` prompts of `width` tokens; much longer buffers are cut down."""
        self.prompt_slots = max(self.prompt_slots, slots)
        if not 0.75 * self.prompt_width <= width <= self.prompt_width:
            self.prompt_width = width

    def reserve_rows(self, rows: int, width: int) -> None:
        """Room for `width` tokens in each of `rows` rows: blocks grow with the length."""
        while self.width < width:
            block = _next_block(self.width)
            self._starts.append(self.width)
            self.width += block
            for layer in self.layers:
                layer.add_block(rows, block)

    def writes(self, lengths: list[int]) -> list[tuple[int, slice | Tensor, int | Tensor]]:
        """Where rows of these lengths write their next token: block, rows, columns."""
        if min(lengths) == max(lengths):
            block = bisect_right(self._starts, lengths[0]) - 1
            return [(block, slice(0, len(lengths)), lengths[0] - self._starts[block])]
        by_block: dict[int, list[int]] = {}
        for row, length in enumerate(lengths):
            by_block.setdefault(bisect_right(self._starts, length) - 1, []).append(row)
        return [
            (
                block,
                torch.tensor(rows, device=self._device),
                torch.tensor([lengths[row] - self._starts[block] for row in rows]).to(self._device),
            )
            for block, rows in by_block.items()
        ]

    def move_rows(self, source: list[int], target: list[int]) -> None:
        self._move(RolloutLayer.move_rows, source, target)

    def move_prompts(self, source: list[int], target: list[int]) -> None:
        self._move(RolloutLayer.move_prompts, source, target)

    def _move(
        self,
        move: Callable[[RolloutLayer, Tensor, Tensor], None],
        source: list[int],
        target: list[int],
    ) -> None:
        if source:
            at = (torch.tensor(indices, device=self._device) for indices in (source, target))
            source_at, target_at = at
            for layer in self.layers:
                move(layer, source_at, target_at)


def _next_block(width: int) -> int:
    return max(BLOCK, width // 4 // BLOCK * BLOCK)


def room_for(tokens: int) -> int:
    """The width of the blocks that hold so many tokens."""
    width = 0
    while width < tokens:
        width += _next_block(width)
    return width
