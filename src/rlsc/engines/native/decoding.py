"""One call of the native engine: which completions are computed together, and when.

Siblings that have drawn the same tokens so far share one branch: one row of the buffers, one row
of every product. A branch splits as they part. Branches whose completions have all ended leave,
and waiting ones take their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlsc.engines.base import Progress, SamplingParams, completes_stop_string
from rlsc.engines.native.kv_cache import FEWEST, Decode, RolloutCache, aligned, key_value_heads
from rlsc.engines.native.prefill import PromptForward, Question
from rlsc.engines.native.sampling import sample_tokens
from rlsc.models import cache_argument


@dataclass(eq=False)
class Decoding:
    """One completion in the making."""

    question: Question
    seed: int
    uniforms: list[float] = field(default_factory=list)  # its own random stream
    token_ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)

    def begin(self, length: int) -> None:
        """Draw the stream: the same whatever the number of siblings and the cap are."""
        generator = torch.Generator().manual_seed(self.seed)
        self.uniforms = torch.rand(length, generator=generator, dtype=torch.float64).tolist()


@dataclass(eq=False)
class Branch:
    """Completions of one question that agree so far."""

    question: Question
    decodings: list[Decoding]

    @property
    def tokens(self) -> list[int]:
        return self.decodings[0].token_ids


class Rollout:
    """Completes `decodings`, at most `max_rows` at once; branch i lies in row i of the buffers."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        decodings: Sequence[Decoding],
        params: SamplingParams,
        max_rows: int,
        replaces: str,
        on_progress: Progress | None = None,
    ) -> None:
        self._model, self._tokenizer, self._params = model, tokenizer, params
        self._cache_argument = cache_argument(model)
        self._max_rows, self._on_progress = max_rows, on_progress
        # Prompts of like length together: the shorter are padded to the longest in flight.
        self._queue = deque(sorted(decodings, key=lambda decoding: -decoding.question.length))
        self._device = next(model.parameters()).device
        config = model.config.get_text_config()
        self.cache = RolloutCache(
            config.num_hidden_layers, self._device, replaces, params.max_new_tokens
        )
        questions = list(dict.fromkeys(decoding.question for decoding in decodings))
        self._prefill = PromptForward(model, self.cache, questions)
        shared = config.num_attention_heads // key_value_heads(config)
        self._fewest = 1 if model.dtype == torch.bfloat16 else -(-FEWEST // shared)
        self._branches: list[Branch] = []
        self._questions: list[Question] = []  # by slot

    def run(self) -> None:
        while self._queue or self._branches:
            room = self._max_rows - self._decoding_count()
            # Not for every completion that ends: prompts are computed several at once.
            if self._queue and (not self._branches or room >= max(1, self._max_rows // 8)):
                self._admit(room)
            if self._branches:
                self._sample(self._branches, self._decode())
                self._divide()

    def _decoding_count(self) -> int:
        return sum(len(branch.decodings) for branch in self._branches)

    def _admit(self, room: int) -> None:
        """Begin waiting completions: compute their prompts, sample their first tokens."""
        by_question: dict[Question, list[Decoding]] = {}
        for _ in range(min(room, len(self._queue))):
            decoding = self._queue.popleft()
            decoding.begin(self._params.max_new_tokens)
            by_question.setdefault(decoding.question, []).append(decoding)
        fresh = [question for question in by_question if question.slot < 0]
        for question in fresh:
            question.slot = len(self._questions)
            self._questions.append(question)
        longest = max(question.width for question in self._questions)
        self.cache.reserve_prompts(len(self._questions), longest)
        self._prefill(fresh)
        new = [Branch(question, decodings) for question, decodings in by_question.items()]
        logits = [branch.question.logits_V for branch in new]
        self._sample(new, torch.stack([logits_V for logits_V in logits if logits_V is not None]))
        for branch in new:
            branch.question.waiting -= len(branch.decodings)
            branch.question.branches += 1
            if not branch.question.waiting:
                branch.question.logits_V = None
        self._branches += new
        self._divide()

    def _decode(self) -> Tensor:
        """Logits [B, V] after one more token of every branch."""
        lengths = [len(branch.tokens) - 1 for branch in self._branches]
        prompts = [branch.question.length for branch in self._branches]
        # Branches may yet split, into as many as there are completions.
        rows = self._max_rows if self._queue else self._decoding_count()
        width = aligned(max(lengths) + 1)
        self.cache.reserve_rows(rows, width)
        siblings = max(self._fewest, *(question.branches for question in self._questions))
        row_at, places = self._grid(siblings)
        lengths_B, prompt_lengths_B = self._tensor(lengths), self._tensor(prompts)
        self.cache.step = Decode(
            prompts=len(self._questions),
            siblings=siblings,
            row_at=self._tensor(row_at),
            place_B=self._tensor(places),
            prompt_lengths_B=prompt_lengths_B,
            lengths_B=lengths_B,
            width=width,
            starts=self.cache.starts,
            writes=self.cache.writes(lengths),
        )
        tokens_B = self._tensor([branch.tokens[-1] for branch in self._branches])
        return self._forward(tokens_B[:, None], (prompt_lengths_B + lengths_B)[:, None])

    def _grid(self, siblings: int) -> tuple[list[int], list[int]]:
        """Branches by question, `siblings` places each: which is where, and the inverse."""
        row_at = [0] * (len(self._questions) * siblings)
        taken = [0] * len(self._questions)
        places = []
        for index, branch in enumerate(self._branches):
            slot = branch.question.slot
            places.append(slot * siblings + taken[slot])
            row_at[places[-1]] = index
            taken[slot] += 1
        return row_at, places

    def _forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        return self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            use_cache=True,
            rollout=self.cache,
            **{self._cache_argument: self.cache},
        ).logits[:, -1]

    def _sample(self, branches: Sequence[Branch], logits_BV: Tensor) -> None:
        """Every completion draws its own token from its branch's distribution."""
        decodings = [decoding for branch in branches for decoding in branch.decodings]
        branch_at = [index for index, branch in enumerate(branches) for _ in branch.decodings]
        uniforms = [decoding.uniforms[len(decoding.token_ids)] for decoding in decodings]
        tokens, logps = sample_tokens(logits_BV, branch_at, uniforms, self._params)
        for decoding, token, logp in zip(decodings, tokens, logps, strict=True):
            decoding.token_ids.append(token)
            decoding.logps.append(logp)

    def _divide(self) -> None:
        """Split branches whose completions have parted; drop what has ended."""
        holes, new, sources, ended = [], [], [], 0
        for index, branch in enumerate(self._branches):
            by_token: dict[int, list[Decoding]] = {}
            for decoding in branch.decodings:
                if self._has_ended(decoding):
                    ended += 1
                else:
                    by_token.setdefault(decoding.token_ids[-1], []).append(decoding)
            branch.question.branches += len(by_token) - 1
            if not by_token:
                holes.append(index)
                continue
            branch.decodings, *others = by_token.values()
            new += [Branch(branch.question, decodings) for decodings in others]
            sources += [index] * len(others)
        self._place(new, sources, holes)
        done = [q.slot for q in self._questions if not q.branches and not q.waiting]
        self.cache.move_prompts(*_fill_holes(self._questions, done))
        for slot, question in enumerate(self._questions):
            question.slot = slot
        if ended and self._on_progress:
            self._on_progress(ended)

    def _place(self, new: list[Branch], sources: list[int], holes: list[int]) -> None:
        """New branches copy their source's keys and values: into holes first, then at the end."""
        end = len(self._branches)
        targets = [*holes, *range(end, end + len(new))][: len(new)]
        self._branches += [None] * (len(new) - len(holes))  # type: ignore[list-item]
        for target, branch in zip(targets, new, strict=True):
            self._branches[target] = branch
        self.cache.move_rows(sources, targets)
        self.cache.move_rows(*_fill_holes(self._branches, holes[len(new) :]))

    def _has_ended(self, decoding: Decoding) -> bool:
        params, token_ids = self._params, decoding.token_ids
        return (
            token_ids[-1] in params.stop_token_ids
            or len(token_ids) == params.max_new_tokens
            or completes_stop_string(self._tokenizer, token_ids, params.stop_strings)
        )

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self._device)


def _fill_holes(items: list[Any], holes: list[int]) -> tuple[list[int], list[int]]:
    """Remove `items[holes]`; the last ones take their places. Returns the moves: from, to."""
    keep = len(items) - len(holes)
    gone = set(holes)
    source = [index for index in range(keep, len(items)) if index not in gone]
    target = [index for index in holes if index < keep]
    for start, end in zip(source, target, strict=True):
        items[end] = items[start]
    del items[keep:]
    return source, target
