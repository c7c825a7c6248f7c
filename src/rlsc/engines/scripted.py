"""An engine that returns prepared completions: for tests, and to replay stored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlsc.engines.base import Engine, Progress, SamplingParams
from rlsc.types import Completion, CompletionGroup, Prompt


class ScriptedEngine(Engine):
    """Returns the first `n` completions written down for each prompt's id."""

    def __init__(self, script: Mapping[str, Sequence[Completion]]) -> None:
        self._script = script

    def sync(self, model: Any) -> None:
        """No weights: what is written down is returned."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        groups = []
        for prompt in prompts:
            completions = tuple(self._script[prompt.id][:n])
            if len(completions) < n:
                raise ValueError(f"the script has {len(completions)} completions for {prompt.id}")
            groups.append(CompletionGroup(prompt, completions))
            if on_progress:
                on_progress(n)
        return groups
