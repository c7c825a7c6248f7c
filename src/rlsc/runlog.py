"""The records that a run leaves while it goes on: metrics.jsonl and completions/<step>.jsonl.

Step s everywhere means: the policy after s updates. completions/0.jsonl is the base model's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlsc.metrics import StepRecord
from rlsc.types import CompletionGroup


class RunLog(TrainerCallback):
    """Writes a run's records into its folder, one flushed line or one whole file at a time."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    @property
    def metrics_file(self) -> Path:
        return self._folder / "metrics.jsonl"

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A run that died may have logged steps after its last checkpoint: they come again."""
        if not args.should_save:
            return
        kept = [row for row in read_jsonl(self.metrics_file) if row["step"] < state.global_step]
        write_jsonl(self.metrics_file, kept)
        for file in (self._folder / "completions").glob("*.jsonl"):
            if file.stem.isdigit() and int(file.stem) >= state.global_step:
                file.unlink()

    def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")

    def write_completions(
        self, step: int, groups: Sequence[CompletionGroup], record: StepRecord
    ) -> None:
        """One row per completion, siblings together, duplicates kept."""
        numbers = zip(record.logps_N.tolist(), record.log_weight_N.exp().tolist(), strict=True)
        rows = []
        for group in groups:
            for completion in group.completions:
                logp, weight = next(numbers)
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
                    }
                )
        write_jsonl(self._folder / "completions" / f"{step}.jsonl", rows)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write under a temporary name and rename, so that no half-written file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    temporary.replace(path)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where it is missing. A last line cut off by a crash is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
