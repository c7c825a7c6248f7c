"""The contract of every engine, and what they share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from rlsc.config import EngineArguments
from rlsc.engines.memory import Part, Workload
from rlsc.errors import ShardedModelError
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
    before the string. Training uses those of an environment's asks alone: completions of questions
    end where the policy ends them. Either way a completion's probability is the product of its
    tokens', since where it ends depends on these tokens only.
    """

    max_new_tokens: int
    stop_token_ids: tuple[int, ...]
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop_strings: tuple[str, ...] = ()
    vocabulary: int | None = None
    """Ids from this one on pad the vocabulary, and are never sampled; None: all are tokens."""


class Engine(ABC):
    """Samples completions from the policy as it was at the last `sync`.

    A user's own is a subclass with `sync` and `generate`, named `--engine FILE.py:Class`. It leaves
    out what is no token (`SamplingParams.vocabulary`), and is made as `Class(model, tokenizer,
    dtype)` unless it has a `create` of its own.
    """

    foreign: bool = False
    """Kernels of another library: training checks its log-probs on the first step."""
    seeded: ClassVar[bool] = True
    """The same call with the same seeds gives the same texts."""
    takes_zero3: ClassVar[bool] = False
    """It can take over weights that DeepSpeed's ZeRO-3 divides over the processes."""
    takes_active_adapter: ClassVar[bool] = False
    """Its `sync` takes over which of a model's adapters is active: a game's roles may have some."""
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
        rows = max(1, config.rollout_batch_size // 4)
        return [("rollout_batch_size", rows)] if rows < config.rollout_batch_size else []

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


def check_not_sharded(model: Any) -> None:
    """Processes that decode different numbers of tokens would wait for each other for ever."""
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
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
        text = tokenizer.decode(list(token_ids), skip_special_tokens=False)
        text = text[: min(text.find(stop) for stop in params.stop_strings if stop in text)]
        for special in tokenizer.all_special_tokens:
            text = text.replace(special, "")
    return Completion(text, tuple(token_ids), tuple(logps), reason)


def grouped(
    prompts: Sequence[Prompt], completions: Sequence[Completion], n: int
) -> list[CompletionGroup]:
    """Completions that stand prompt by prompt, `n` of each, as groups."""
    starts = range(0, len(completions), n)
    parts = (tuple(completions[start : start + n]) for start in starts)
    return [CompletionGroup(*pair) for pair in zip(prompts, parts, strict=True)]
