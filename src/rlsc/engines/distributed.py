"""An engine's work spread over the processes of a run: each answers its share of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlsc.engines.base import Engine, Progress, SamplingParams
from rlsc.runtime import count, gathered, rank
from rlsc.types import CompletionGroup, Prompt


def spread(engine: Engine) -> Engine:
    """The engine, its work spread where there are several processes."""
    return SpreadEngine(engine) if count() > 1 else engine


class SpreadEngine(Engine):
    """`generate` gives every process all groups. For evaluation: training samples its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.foreign = engine.foreign

    def sync(self, model: Any) -> None:
        self._engine.sync(model)

    def release(self) -> None:
        self._engine.release()

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        params: SamplingParams,
        seeds: Sequence[int],
        on_progress: Progress | None = None,
    ) -> list[CompletionGroup]:
        mine = slice(rank(), None, count())
        progress = None
        if on_progress is not None:
            shown = on_progress  # its share stands for all

            def progress(done: int) -> None:
                shown(done * count())

        # Also without prompts: sharded weights are gathered by all.
        parts = gathered(self._engine.generate(prompts[mine], n, params, seeds[mine], progress))
        return [parts[index % count()][index // count()] for index in range(len(prompts))]
