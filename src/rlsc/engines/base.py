"""The contract of every engine, and what they share."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from rlsc.config.engine import EngineArguments
from rlsc.engines.memory import Part, Workload
from rlsc.engines.packed import PackedLinears
from rlsc.errors import ShardedModelError
from rlsc.models.adapters import adapter_is_off
from rlsc.runtime.sharding import whole
from rlsc.types import Completion, CompletionGroup, FinishReason, Prompt

ZERO3_NEEDS = (
    "this engine samples from whole weights, which ZeRO-3 does not give it: take FSDP2 "
    "(recipes/accelerate/fsdp2.yaml), or --engine vllm"
)
Progress = Callable[[int], None]
"""Called with the number of completions that have just finished."""


@dataclass(frozen=True)
class SamplingParams:
    """How to sample. Temperature 0 is greedy; top_p 1 and top_k 0 are off.

    A completion also ends with the token that completes one of `stop_strings`; its text ends
    before the string. Training uses none: the log-prob of such an end is not the policy's.
    """

    max_new_tokens: int
    stop_token_ids: tuple[int, ...]
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop_strings: tuple[str, ...] = ()


class Engine(ABC):
    """Samples completions from the policy as it was at the last `sync`.

    A user's own is a subclass with `sync` and `generate`, named `--engine FILE.py:Class`. It is
    made as `Class(model, tokenizer, dtype)` unless it has a `create` of its own.
    """

    foreign: bool = False
    """Kernels of another library: training checks its log-probs on the first step."""
    seeded: ClassVar[bool] = True
    """The same call with the same seeds gives the same texts."""
    takes_zero3: ClassVar[bool] = False
    """It can take over weights that DeepSpeed's ZeRO-3 divides over the processes."""
    fallback: ClassVar[str | None] = None
    """The name of the engine that stands in for a model that this one can't serve."""

    @classmethod
    def variant(cls, config: EngineArguments) -> type[Engine]:
        """The class that these settings mean, where an engine has several forms."""
        return cls

    @classmethod
    def preferred(cls) -> bool:
        """Whether `--engine auto` means this engine on the machine at hand."""
        return False

    @classmethod
    def create(
        cls, config: EngineArguments, model: Any, tokenizer: Any, dtype: torch.dtype
    ) -> Engine:
        """An engine with these settings that samples from `model` in `dtype`."""
        return cls(model, tokenizer, dtype)  # type: ignore[call-arg]

    @classmethod  # noqa: B027
    def check_installed(cls) -> None:
        """Raise `ConfigError` that says what to install where something is missing."""

    @classmethod  # noqa: B027
    def check_supports(cls, model: Any) -> None:
        """Raise `ModelError` for a model that it can't serve, by all but the model's weights."""

    @classmethod
    def place(cls, config: EngineArguments) -> str:
        """Where it samples, in words; nothing where that is this process."""
        return ""

    @classmethod
    def memory(cls, config: EngineArguments, work: Workload) -> tuple[list[Part], int]:
        """What it takes of the device's memory, and how many completions it samples at once."""
        return [Part("the engine (not counted)")], work.completions

    @classmethod
    def smaller(cls, config: EngineArguments) -> list[tuple[str, Any]]:
        """Its settings, by name and value, each of which alone would take less memory."""
        return []

    @abstractmethod
    def sync(self, model: Any) -> None:
        """Take over the weights of `model`."""

    def release(self) -> None:  # noqa: B027
        """Free what only sampling needs, until the next `sync`: an update has the memory."""

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        """`n` completions for each prompt, in order; one seed per prompt, same seed same text."""


def seed_for(*parts: object) -> int:
    """A 63-bit seed from (run seed, step, question …): the same on every machine."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class SamplingWeights:
    """The weights that an engine samples with: the model itself, or a copy in another dtype.

    Training keeps float32 weights; sampling in bfloat16 from an explicit copy is several times
    faster than casting them at every token. The copy costs its size in memory, but for the time
    between `release` and `sync`. `packed` lays the linear layers out for the CPU's products.
    """

    def __init__(self, model: Any, dtype: torch.dtype, packed: bool = False) -> None:
        self._dtype = dtype
        self._is_copy = next(model.parameters()).dtype != dtype
        self._model = _frozen_copy(model, dtype) if self._is_copy else model
        self._adapter_is_off = self._is_released = False
        self._packed = PackedLinears.of(self._model) if packed else None
        self._unused: set[int] = set()
        # An adapter's layers may read the weights that they wrap.
        if self._packed and self._is_copy and not hasattr(model, "peft_config"):
            self._unused = self._packed.replaced(self._model)
            self._free(self._unused)

    @property
    def config(self) -> Any:
        """The language model's."""
        return self._model.config.get_text_config()

    @torch.no_grad()
    def sync(self, model: Any) -> None:
        """Copy the weights where a copy is kept, else take the model itself.

        An adapter that is switched off at this moment is off in the sampling too.
        """
        self._adapter_is_off = adapter_is_off(model)
        with whole(model):
            self._take(model)
        self._is_released = False

    def _take(self, model: Any) -> None:
        if self._is_copy:
            for mine, theirs in zip(self._model.parameters(), model.parameters(), strict=True):
                if id(mine) in self._unused:
                    continue
                if self._is_released:
                    mine.data = torch.empty_like(theirs, dtype=self._dtype)
                mine.copy_(theirs)
        else:
            self._model = model
        if self._packed:
            self._packed.attach(self._model)
            self._packed.pack(model)

    def release(self) -> None:
        """Free what only sampling needs, until the next `sync`: an update has the memory."""
        if self._packed:
            self._packed.clear()
        if self._is_copy:
            self._free({id(one) for one in self._model.parameters()})
        self._is_released = True

    def _free(self, ids: set[int]) -> None:
        for parameter in self._model.parameters():
            if id(parameter) in ids:
                parameter.data = parameter.data.new_empty(0)

    @contextmanager
    def sampling(self) -> Iterator[Any]:
        """The model in eval mode, its training mode restored afterwards."""
        if self._is_released:
            raise RuntimeError("the engine's weights are released: call its sync(model) first")
        was_training = self._model.training
        self._model.eval()
        try:
            lent = self._packed.lent() if self._packed else nullcontext()
            off = self._model.disable_adapter() if self._adapter_is_off else nullcontext()
            with whole(self._model), lent, off:
                yield self._model
        finally:
            self._model.train(was_training)


def _frozen_copy(model: Any, dtype: torch.dtype) -> Any:
    copied = copy.deepcopy(model).requires_grad_(False)
    for parameter in copied.parameters():
        parameter.data = parameter.data.to(dtype)
    # Floating-point buffers (rotary frequencies) keep their precision, as under autocast.
    copied.config.dtype = dtype
    return copied


def fewer_rows(config: EngineArguments) -> list[tuple[str, Any]]:
    """A quarter of the completions at once, where there is one: for `Engine.smaller`."""
    rows = max(1, config.rollout_batch_size // 4)
    return [("rollout_batch_size", rows)] if rows < config.rollout_batch_size else []


def check_not_sharded(model: Any) -> None:
    """Processes that decode different numbers of tokens would wait for each other for ever."""
    if any(hasattr(one, "ds_id") for one in model.parameters()):
        raise ShardedModelError(ZERO3_NEEDS)


def completes_stop_string(tokenizer: Any, token_ids: Sequence[int], stops: Sequence[str]) -> bool:
    """Whether the last token completes one of `stops`; special tokens count as their text."""
    if not stops:
        return False
    # A string of n characters spans at most n tokens, and one more where it starts within one.
    tail = token_ids[-(max(map(len, stops)) + 1) :]
    text = tokenizer.decode(list(tail), skip_special_tokens=False)
    return any(stop in text for stop in stops)


def make_completion(
    tokenizer: Any, token_ids: Sequence[int], logps: Sequence[float], params: SamplingParams
) -> Completion:
    """A completion from sampled ids; its finish reason follows from how they end."""
    text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
    reason: FinishReason = "length"
    if token_ids and token_ids[-1] in params.stop_token_ids:
        reason = "stop"
    elif completes_stop_string(tokenizer, token_ids, params.stop_strings):
        reason = "stop"
        whole = tokenizer.decode(list(token_ids), skip_special_tokens=False)
        ends = [whole.find(stop) for stop in params.stop_strings if stop in whole]
        text = whole[: min(ends)]
        for special in tokenizer.all_special_tokens:
            text = text.replace(special, "")
    return Completion(text, tuple(token_ids), tuple(logps), reason)
