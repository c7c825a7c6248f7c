"""Key/value buffers for siblings that share a prompt.

A question's prompt is held once; each live row holds only the tokens it has sampled, written in
place. The rows' buffers are a few blocks of tokens, so that growing copies nothing; of the last
one products read what is in use.
Widths are multiples of what a vector register holds, and where blocks begin is the same for all:
then a row's sums run in the same order whichever rows lie beside it, and its text is the same to
the bit.
Shapes: _G prompts, _B rows, _H key/value heads, _D head size, _P prompt, _T sampled tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

ALIGN = 32  # tokens: widths in use and of prompts are multiples of it
BLOCK = 128  # tokens of the first blocks
FEWEST = 4  # rows in a float32 product: with fewer, its sums run in another order


@dataclass
class Prefill:
    """A forward over prompts laid end to end, [1, tokens]: prompt i goes to `slots[i]`.

    All begin at column `start`; what comes before it is what an earlier step was to `keep`.
    """

    slots: Tensor
    lengths: Tensor
    start: int = 0
    keep: bool = False
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        device = self.slots.device
        ends = self.lengths.cumsum(0)
        self.longest = int(self.lengths.max())
        prompt_T = torch.arange(len(self.slots), device=device).repeat_interleave(self.lengths)
        self.at_T = torch.arange(int(ends[-1]), device=device) - (ends - self.lengths)[prompt_T]
        self.slot_T = self.slots[prompt_T]
        self.column_T = self.at_T + self.start
        self.grid_T = prompt_T * self.rows + self.at_T  # padded to [prompts, rows]

    @property
    def rows(self) -> int:
        """Of a prompt in a product: with fewer, float32 sums run in another order."""
        return max(self.longest, FEWEST)

    def mask(self, first: int, end: int, window: int | None) -> Tensor:
        """Of new tokens [first:end], what they don't see: [tokens, 1, columns]."""
        key = (first, end, window)
        if key not in self._masks:
            device = self.slots.device
            position = torch.arange(first, end, device=device)[:, None] + self.start
            distance = position - torch.arange(aligned(self.start + end), device=device)
            hidden = distance < 0
            if window is not None:
                hidden |= distance >= window
            self._masks[key] = hidden[:, None]
        return self._masks[key]


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
    width: int  # in use of all blocks
    starts: list[int]  # of the blocks
    writes: list[tuple[int, Tensor | None]]  # blocks written to, and by which rows if not all
    _masks: dict[tuple[int, int | None], Tensor] = field(default_factory=dict)
    _indices: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _written: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def used(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """What is in use of blocks [B, H, width, D]: the live rows, the columns before `width`."""
        rows = len(self.lengths_B)
        widths = (self.width - start for start in self.starts)
        parts = zip(blocks, widths, strict=True)
        return [block[:rows, :, :width] for block, width in parts if width > 0]

    def written(self, index: int, rows: Tensor | None, heads: int, width: int) -> Tensor:
        """Where in block `index`, seen as [B · H · width, D], `rows` write."""
        key = (index, heads)
        if key not in self._written:
            device = self.lengths_B.device
            row_R = torch.arange(len(self.lengths_B), device=device) if rows is None else rows
            column_R = self.lengths_B[row_R] - self.starts[index]
            head_RH = row_R[:, None] * heads + torch.arange(heads, device=device)
            self._written[key] = (head_RH * width + column_R[:, None]).flatten()
        return self._written[key]

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
        self.common_keys: Tensor  # [H, tokens, D]: what all prompts begin with
        self.common_values: Tensor

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
            self.prompt_keys = self._fitted(self.prompt_keys)
            self.prompt_values = self._fitted(self.prompt_values)
            if step.start:
                self.prompt_keys[step.slots, :, : step.start] = self.common_keys
                self.prompt_values[step.slots, :, : step.start] = self.common_values
            self.prompt_keys[step.slot_T, :, step.column_T] = key_states[0].transpose(0, 1)
            self.prompt_values[step.slot_T, :, step.column_T] = value_states[0].transpose(0, 1)
            if step.keep:
                self.common_keys, self.common_values = key_states[0], value_states[0]
        else:
            self._append(step, self.key_blocks, key_states)
            self._append(step, self.value_blocks, value_states)
        return key_states, value_states

    def _append(self, step: Decode, blocks: list[Tensor], states_BH1D: Tensor) -> None:
        _, heads, _, size = states_BH1D.shape
        for index, rows in step.writes:
            new = states_BH1D if rows is None else states_BH1D.index_select(0, rows)
            block = blocks[index]
            at = step.written(index, rows, heads, block.shape[2])
            block.view(-1, size)[at] = new.reshape(-1, size)

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

    def get_seq_length(self) -> int:
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_max_length(self) -> int:
        return -1


class RolloutCache(Cache):
    """The buffers of all layers, and the step that they are in."""

    layers: list[RolloutLayer]

    def __init__(self, layers: int, device: torch.device, replaces: str, most: int) -> None:
        """`most`: tokens that a row may come to hold."""
        super().__init__(layers=[RolloutLayer(self) for _ in range(layers)])
        self._most = aligned(most)
        self.replaces = replaces  # the model's own attention function, by name
        self.step: Prefill | Decode
        self.prompt_slots = self.prompt_width = self.width = 0
        self.windows: set[int | None] = set()  # that the layers passed to their attention
        self._device = device
        self.starts: list[int] = []  # of the blocks

    def reserve_prompts(self, slots: int, width: int) -> None:
        """Room for `slots` prompts of `width` tokens; much longer buffers are cut down."""
        self.prompt_slots = max(self.prompt_slots, slots)
        if not 0.75 * self.prompt_width <= width <= self.prompt_width:
            self.prompt_width = width

    def reserve_rows(self, rows: int, width: int) -> None:
        """Room for `width` tokens in each of `rows` rows: blocks grow with the length."""
        while self.width < width:
            block = max(BLOCK, self.width // 2 // BLOCK * BLOCK)
            block = min(block, self._most - self.width)
            self.starts.append(self.width)
            self.width += block
            for layer in self.layers:
                layer.add_block(rows, block)

    def writes(self, lengths: list[int]) -> list[tuple[int, Tensor | None]]:
        """Which blocks rows of these lengths write their next token to."""
        by_block: dict[int, list[int]] = {}
        for row, length in enumerate(lengths):
            by_block.setdefault(bisect_right(self.starts, length) - 1, []).append(row)
        if len(by_block) == 1:
            return [(block, None) for block in by_block]
        return [
            (block, torch.tensor(rows, device=self._device)) for block, rows in by_block.items()
        ]

    def move_rows(self, source: list[int], target: list[int]) -> None:
        blocks = (block for x in self.layers for block in (*x.key_blocks, *x.value_blocks))
        self._move(blocks, source, target)

    def move_prompts(self, source: list[int], target: list[int]) -> None:
        buffers = (buffer for x in self.layers for buffer in (x.prompt_keys, x.prompt_values))
        self._move(buffers, source, target)

    def _move(self, buffers: Iterable[Tensor], source: list[int], target: list[int]) -> None:
        if source:
            source_at = torch.tensor(source, device=self._device)
            target_at = torch.tensor(target, device=self._device)
            for buffer in buffers:
                buffer[target_at] = buffer[source_at]


def aligned(width: int) -> int:
    """The smallest multiple of ALIGN that holds so many tokens."""
    return -(-width // ALIGN) * ALIGN


def key_value_heads(config: Any) -> int:
    """Key/value heads of a layer, which several query heads may share."""
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def bytes_per_token(config: Any, itemsize: int) -> int:
    """Of a token's keys and values in all layers; `config`: the language model's."""
    heads = key_value_heads(config)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * itemsize)
