"""The reference engine: transformers' own `generate`.

It draws a batch's tokens from one random stream, so a text depends on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from rlsc.config import EngineArguments
from rlsc.engines.base import (
    Engine,
    Progress,
    SamplingParams,
    check_not_sharded,
    completes_stop_string,
    grouped,
    make_completion,
    seed_for,
)
from rlsc.engines.memory import Part, Workload, tensors_part, weights_part
from rlsc.engines.native.kv_cache import bytes_per_token
from rlsc.engines.weights import SamplingWeights
from rlsc.types import Completion, CompletionGroup, Prompt


class _StopStrings(StoppingCriteria):
    """transformers' own looks into the prompt too, and fails on a vocabulary without a letter."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int) -> None:
        self._tokenizer, self._stops, self._start = tokenizer, stops, start

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        rows = input_ids[:, self._start :].tolist()
        ended = [completes_stop_string(self._tokenizer, row, self._stops) for row in rows]
        return torch.tensor(ended, device=input_ids.device)


class _LogProbs(LogitsProcessor):
    """Log-probs of the tokens drawn, step by step: kept scores would be [T, B, vocabulary].

    The last processor, it sees the distribution that is drawn from; which token was drawn it
    learns one call later.
    """

    def __init__(self) -> None:
        self._last: torch.Tensor | None = None
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._take(input_ids[:, -1])
        self._last = scores.float().log_softmax(-1)
        return scores

    def _take(self, tokens_B: torch.Tensor) -> None:
        if self._last is not None:
            self._steps.append(self._last.gather(-1, tokens_B[:, None])[:, 0])

    def of(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """[B, T], when `generate` is done."""
        self._take(tokens_BT[:, -1])
        return torch.stack(self._steps, 1)


class _Vocabulary(LogitsProcessor):
    """Nothing but tokens is drawn: the ids that pad the vocabulary are none."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        padding = torch.arange(scores.shape[-1], device=scores.device) >= self._size
        return scores.masked_fill(padding, -torch.inf)


def _warpers(params: SamplingParams) -> list[LogitsProcessor]:
    """transformers' own: `generate` would put them behind ours."""
    warpers: list[LogitsProcessor] = []
    if params.vocabulary is not None:
        warpers.append(_Vocabulary(params.vocabulary))
    if params.temperature == 0:
        return warpers
    warpers.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    return warpers


class HFEngine(Engine):
    """Plain and slow: what the other engines are checked against."""

    takes_active_adapter = True

    @classmethod
    def create(
        cls, config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
    ) -> HFEngine:
        return cls(model, tokenizer, dtype, config.rollout_batch_size)

    @classmethod
    def memory(cls, config: EngineArguments, work: Workload) -> tuple[list[Part], int]:
        rows = min(config.rollout_batch_size, work.completions)
        token = bytes_per_token(work.model.config.get_text_config(), work.dtype.itemsize)
        return [
            weights_part(work, packed=False),
            Part("key/value cache", 0, token * rows * (work.prompt_length + work.max_new_tokens)),
            tensors_part(work, rows),
        ], rows

    def __init__(self, model: Any, tokenizer: Any, dtype: torch.dtype, max_rows: int = 256) -> None:
        check_not_sharded(model)
        self._weights = SamplingWeights(model, dtype)
        self._tokenizer = tokenizer
        self._max_rows = max_rows

    def sync(self, model: Any) -> None:
        self._weights.sync(model)

    def release(self) -> None:
        self._weights.release()

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        rows = [index for index in range(len(prompts)) for _ in range(n)]
        completions: list[Completion] = []
        with self._weights.sampling() as model, torch.random.fork_rng():
            for start in range(0, len(rows), self._max_rows):
                part = rows[start : start + self._max_rows]
                # `generate` draws from the global stream: fork_rng gives it back untouched.
                torch.manual_seed(seed_for(start, *(seeds[index] for index in part)))
                completions += self._generate(model, [prompts[index] for index in part], params)
                if on_progress:
                    on_progress(len(part))
        return grouped(prompts, completions, n)

    def _generate(
        self, model: Any, prompts: Sequence[Prompt], params: SamplingParams
    ) -> list[Completion]:
        """One batch, padded on the left."""
        device = next(model.parameters()).device
        length = max(len(prompt.token_ids) for prompt in prompts)
        padding = [length - len(prompt.token_ids) for prompt in prompts]
        input_ids = torch.tensor(
            [(0,) * pad + prompt.token_ids for pad, prompt in zip(padding, prompts, strict=True)],
            device=device,
        )
        mask = (torch.arange(length) >= torch.tensor(padding)[:, None]).long().to(device)
        # Without the model's own defaults, such as a repetition penalty: they would change the
        # distribution behind the loss's back.
        defaults, model.generation_config = model.generation_config, GenerationConfig()
        logps = _LogProbs()
        stops = _StopStrings(self._tokenizer, params.stop_strings, length)
        try:
            output = model.generate(
                input_ids,
                attention_mask=mask,
                do_sample=params.temperature > 0,
                max_new_tokens=params.max_new_tokens,
                eos_token_id=list(params.stop_token_ids) or None,
                pad_token_id=params.stop_token_ids[0] if params.stop_token_ids else 0,
                logits_processor=LogitsProcessorList([*_warpers(params), logps]),
                use_cache=True,
                top_k=0,  # off; `generate` would take 50
                stopping_criteria=StoppingCriteriaList([stops] if params.stop_strings else []),
            )
        finally:
            model.generation_config = defaults
        tokens_BT = output[:, length:]
        logps_BT = logps.of(tokens_BT)
        return [
            self._completion(tokens, logps, params)
            for tokens, logps in zip(tokens_BT.tolist(), logps_BT.tolist(), strict=True)
        ]

    def _completion(
        self, tokens: list[int], logps: list[float], params: SamplingParams
    ) -> Completion:
        """Cut the padding that `generate` adds after a row's end."""
        length = next(
            (
                end
                for end in range(1, len(tokens) + 1)
                if tokens[end - 1] in params.stop_token_ids
                or completes_stop_string(self._tokenizer, tokens[:end], params.stop_strings)
            ),
            len(tokens),
        )
        return make_completion(self._tokenizer, tokens[:length], logps[:length], params)
