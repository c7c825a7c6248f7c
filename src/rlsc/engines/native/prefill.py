"""Prompts: each is computed once, without padding; a beginning common to all, once for all.

Chat templates and worked examples make such beginnings long. How prompts are cut and put together
changes no number: a token's sums run over its own prompt's keys, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlsc.engines.native.kv_cache import Prefill, RolloutCache, aligned
from rlsc.models import cache_argument
from rlsc.types import Prompt

_TOKENS = 8192  # in one forward
_WORTH = 64  # tokens: a forward of its own costs as much


@dataclass(eq=False)
class Question:
    """A prompt, and where its keys and values lie while it is in flight."""

    prompt: Prompt
    waiting: int  # siblings that have not begun
    slot: int = -1
    branches: int = 0
    logits_V: Tensor | None = None  # after the prompt's last token, while siblings wait

    @property
    def length(self) -> int:
        return len(self.prompt.token_ids)

    @property
    def width(self) -> int:
        """The room that it takes in the buffers."""
        return aligned(self.length)


class PromptForward:
    """Computes the prompts of one call as they are admitted. `questions`: all that will come."""

    def __init__(self, model: Any, cache: RolloutCache, questions: Sequence[Question]) -> None:
        self._model, self._cache = model, cache
        self._cache_argument = cache_argument(model)
        self._device = next(model.parameters()).device
        self._common = common_beginning([question.prompt.token_ids for question in questions])
        self._is_known = False
        if self._common * (len(questions) - 1) < _WORTH:
            self._common = 0

    def __call__(self, questions: Sequence[Question]) -> None:
        """Fill the buffers at each question's slot, and its `logits_V`."""
        if self._common and questions and not self._is_known:
            self._forward(questions[:1], 0, self._common)
            self._is_known = True
        for part in self._parts(questions):
            logits_QV = self._forward(part, self._common, None)
            for question, logits_V in zip(part, logits_QV, strict=True):
                question.logits_V = logits_V

    def _parts(self, questions: Sequence[Question]) -> Iterator[list[Question]]:
        part: list[Question] = []
        tokens = 0
        for question in questions:
            new = question.length - self._common
            if part and tokens + new > _TOKENS:
                yield part
                part, tokens = [], 0
            part.append(question)
            tokens += new
        if part:
            yield part

    def _forward(self, questions: Sequence[Question], start: int, stop: int | None) -> Tensor:
        """Logits [Q, V] after `[start:stop]` of each prompt."""
        prompts = [question.prompt.token_ids[start:stop] for question in questions]
        lengths = self._tensor([len(prompt) for prompt in prompts])
        slots = self._tensor([question.slot for question in questions])
        self._cache.step = Prefill(slots, lengths, start, keep=stop is not None)
        input_ids = self._tensor([token for prompt in prompts for token in prompt])
        with _head_at(self._model, lengths.cumsum(0) - 1):
            return self._model(
                input_ids=input_ids[None],
                position_ids=self._cache.step.column_T[None],
                use_cache=True,
                rollout=self._cache,
                **{self._cache_argument: self._cache},
            ).logits[0]

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self._device)


def common_beginning(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all begin with; each keeps one token at least for itself."""
    low, high = min(prompts, default=()), max(prompts, default=())
    same = 0
    while same < min(len(low), len(high)) and low[same] == high[same]:
        same += 1
    return max(0, min([same, *(len(prompt) - 1 for prompt in prompts)]))


@contextmanager
def _head_at(model: Any, last: Tensor) -> Iterator[None]:
    """The vocabulary head sees each prompt's last token alone, which logits_to_keep can't say."""

    def select(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *rest = args
        return hidden[:, last], *rest

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
