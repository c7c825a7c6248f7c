"""The native engine: a question's prompt is computed once for its K siblings.

It calls the model's own modules, with its own cache class and attention function, so it serves
decoder-only models whose attention transformers lets one choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rlsc.config import EngineArguments
from rlsc.engines.base import (
    Engine,
    Progress,
    SamplingParams,
    check_not_sharded,
    grouped,
    make_completion,
)
from rlsc.engines.memory import Part, Workload, tensors_part, weights_part
from rlsc.engines.native.decoding import Decoding, Rollout
from rlsc.engines.native.kv_cache import aligned, bytes_per_token
from rlsc.engines.native.prefill import Question
from rlsc.engines.native.shared_prefix import NAME
from rlsc.engines.weights import SamplingWeights
from rlsc.errors import ModelError, NonFiniteError
from rlsc.models import check_architecture, hides_its_window, lent_attention
from rlsc.runtime import free_memory, is_out_of_memory
from rlsc.types import CompletionGroup, Prompt


class NativeEngine(Engine):
    """Samples in `dtype`, at most `max_rows` completions at once.

    Fewer where their key/value cache, grown to the cap, would take more than `memory_gb`
    (10⁹ bytes; None: half of the free memory). Raises `ModelError` for a model that it can't serve.
    """

    fallback = "hf"
    takes_active_adapter = True

    @classmethod
    def create(
        cls, config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
    ) -> NativeEngine:
        return cls(model, tokenizer, dtype, config.rollout_batch_size, config.rollout_memory_gb)

    @classmethod
    def check_supports(cls, model: Any) -> None:
        check_architecture(model)

    @classmethod
    def memory(cls, config: EngineArguments, work: Workload) -> tuple[list[Part], int]:
        weights = weights_part(work, packed=work.device == "cpu")
        rows = min(config.rollout_batch_size, work.completions)
        cap, width = aligned(work.max_new_tokens), aligned(work.prompt_length)
        token = bytes_per_token(work.model.config.get_text_config(), work.dtype.itemsize)
        budget = None if config.rollout_memory_gb is None else config.rollout_memory_gb * 1e9
        if budget is None and work.device_memory is not None:
            budget = max(0, work.device_memory - work.resident - weights.sampling) / 2
        if budget is not None:
            rows = _affordable(rows, budget, token * (width + cap))
        cache = token * (rows * cap + min(work.prompts, rows) * width)
        return [weights, Part("key/value cache", 0, cache), tensors_part(work, rows)], rows

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        dtype: torch.dtype,
        max_rows: int = 256,
        memory_gb: float | None = None,
    ) -> None:
        check_not_sharded(model)
        check_architecture(model)
        self._weights = SamplingWeights(model, dtype, packed=True)
        self._tokenizer = tokenizer
        self._max_rows = max_rows
        self._memory_gb = memory_gb
        self._check_forward()

    def sync(self, model: Any) -> None:
        self._weights.sync(model)

    def release(self) -> None:
        self._weights.release()

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        questions = [Question(prompt, n) for prompt in prompts]
        decodings = [
            Decoding(question, _sibling_seed(seed, sibling))
            for question, seed in zip(questions, seeds, strict=True)
            for sibling in range(n)
        ]
        longest = max((question.width for question in questions), default=0)
        with self._weights.sampling() as model, lent_attention(model, NAME) as replaced:
            if not decodings:  # a process without questions helps the others gather their weights
                return []
            max_rows = self._affordable_rows(model, longest + aligned(params.max_new_tokens))
            rollout = Rollout(
                model, self._tokenizer, decodings, params, max_rows, replaced, on_progress
            )
            rollout.run()
        self._windows = rollout.cache.windows
        rollout.cache.layers.clear()  # they and the cache know each other: nothing else frees them
        completions = [
            make_completion(self._tokenizer, decoding.token_ids, decoding.logps, params)
            for decoding in decodings
        ]
        return grouped(prompts, completions, n)

    def _affordable_rows(self, model: Any, tokens: int) -> int:
        row = tokens * bytes_per_token(model.config.get_text_config(), model.dtype.itemsize)
        free = free_memory(next(model.parameters()).device) / 2
        budget = free if self._memory_gb is None else self._memory_gb * 1e9
        return _affordable(self._max_rows, budget, row)

    @torch.inference_mode()
    def _check_forward(self) -> None:
        """The second token's log-probs must be those of the model's plain forward.

        Catches what no look at a config tells: positions, masks or terms of the scores that the
        attention function here does not know.
        """
        vocabulary = self._weights.config.vocab_size
        prompt = Prompt("", "", tuple(index % vocabulary for index in range(1, 8)))
        params = SamplingParams(max_new_tokens=2, stop_token_ids=(), temperature=0.0)
        try:
            (group,) = self.generate([prompt], 1, params, [0])
        except NonFiniteError:
            raise  # of the weights, whatever samples from them
        except Exception as error:
            if is_out_of_memory(error):
                raise  # another engine would not have more
            raise ModelError(f"its forward failed: {error}") from error
        if hides_its_window(self._weights.config, self._windows):
            raise ModelError("its attention is not told of its sliding window")
        tokens, logps = group.completions[0].token_ids, group.completions[0].logps
        with self._weights.sampling() as model:
            device = next(model.parameters()).device
            ids = torch.tensor([(*prompt.token_ids, *tokens[:1])], device=device)
            logits_TV = model(input_ids=ids, use_cache=False).logits[0, -2:].float()
        expected = logits_TV.log_softmax(-1).gather(1, torch.tensor(tokens, device=device)[:, None])
        difference = (expected[:, 0].cpu() - torch.tensor(logps)).abs().max().item()
        # bfloat16 keeps 8 bits of each logit; a wrong mask or position changes logits wholly.
        bound = (
            1e-3 if model.dtype == torch.float32 else 0.02 * max(1, logits_TV.abs().max().item())
        )
        if not difference <= bound:
            raise ModelError(f"its log-probs are off by {difference:.2g} (bound {bound:.2g})")


def _affordable(rows: int, budget: float, row: int) -> int:
    """As many of `rows` as `budget` bytes hold, `row` bytes each; one at the least."""
    return max(1, min(rows, int(budget // row)))


def _sibling_seed(seed: int, sibling: int) -> int:
    """Knuth's multiplier keeps neighbouring siblings' seeds far apart."""
    return (seed + sibling * 0x9E3779B97F4A7C15) % 2**63
