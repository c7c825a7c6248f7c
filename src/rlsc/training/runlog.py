"""The records that a run leaves while it goes on: metrics.jsonl and completions/<step>.jsonl.

Step s everywhere means: the policy after s updates. completions/0.jsonl is the base model's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlsc.records import append_jsonl, read_jsonl, write_jsonl
from rlsc.runtime import is_main
from rlsc.training.metrics import StepRecord
from rlsc.types import CompletionGroup, Pool

METRICS = "metrics.jsonl"
Rewards = tuple[str, Sequence[float]]
"""Of a group: its pool's name, and the environment's reward of each completion."""


def rewards_of(pools: Sequence[Pool]) -> list[Rewards]:
    """Group after group; none where the environment gives no rewards."""
    return [
        (pool.name, tuple(rewards))
        for pool in pools
        for rewards in (() if pool.rewards is None else pool.rewards)
    ]


class RunLog(TrainerCallback):
    """Writes a run's records into its folder, one flushed line or one whole file at a time."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    @property
    def metrics_file(self) -> Path:
        return self._folder / METRICS

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the records of the steps that are resumed from."""
        if args.should_save:
            self.rewind(state.global_step)

    def rewind(self, step: int) -> None:
        """Drop the records from `step` on: a run that died may have got past its checkpoint."""
        kept = [row for row in read_jsonl(self.metrics_file) if row["step"] < step]
        write_jsonl(self.metrics_file, kept)
        for file in (self._folder / "completions").glob("*.jsonl") if is_main() else ():
            if file.stem.isdigit() and int(file.stem) >= step:
                file.unlink()

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a row; what is not a number (no estimate for K = 1) becomes null."""
        row = {
            name: value if math.isfinite(value) else None
            for name, value in {"step": step, **metrics}.items()
        }
        append_jsonl(self.metrics_file, row)

    def write_completions(
        self,
        step: int,
        groups: Sequence[CompletionGroup],
        record: StepRecord,
        rewards: Sequence[Rewards] = (),
    ) -> None:
        """One row per completion, siblings together, duplicates kept.

        `rewards` has a pair for each group, or nothing.
        """
        numbers = zip(record.logps_N.tolist(), record.weights_N.tolist(), strict=True)
        given = iter([(pool, reward) for pool, of_group in rewards for reward in of_group])
        rows = []
        for group in groups:
            for completion in group.completions:
                logp, weight = next(numbers)
                pool, reward = next(given) if rewards else (None, None)
                rows.append(
                    {
                        "id": group.prompt.id,
                        "prompt": group.prompt.text,
                        "text": completion.text,
                        "prompt_token_ids": group.prompt.token_ids,
                        "completion_token_ids": completion.token_ids,
                        "logprob": logp,
                        "weight": weight,
                        "finish_reason": completion.finish_reason,
                        **({} if pool is None else {"pool": pool, "reward": reward}),
                    }
                )
        write_jsonl(self._folder / "completions" / f"{step}.jsonl", rows)
