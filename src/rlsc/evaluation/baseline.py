"""`--compare_to`: another evaluation of the same questions, read and held against this one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rlsc.errors import ConfigError
from rlsc.evaluation.benchmarks.loading import BenchmarkSet
from rlsc.evaluation.changes import best_control, compare_scores
from rlsc.evaluation.samples import read_rows
from rlsc.records import folder as runfolder
from rlsc.records.environment import fingerprint

SAMPLES = "samples"
_PROTOCOL = (
    *("template", "system_prompt", "shots", "samples", "temperature", "top_p", "top_k"),
    *("max_new_tokens", "seed", "engine", "dtype"),
)


class Baseline:
    """Another evaluation of the same questions, to which this one is compared."""

    def __init__(self, folder: Path, sets: Sequence[BenchmarkSet]) -> None:
        self._folder = folder
        try:
            text = (folder / runfolder.RESULTS).read_text("utf-8")
            self._results: Mapping[str, Any] = json.loads(text)
            found = self._results["benchmarks"]
            main = {name: one["setting"] for name, one in found.items()}
            asked = json.loads((folder / runfolder.ENVIRONMENT).read_text("utf-8"))["questions"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"--compare_to {folder}: no finished evaluation there") from error
        for one in sets:
            name = one.benchmark.name
            if name not in found:
                raise ConfigError(f"--compare_to {folder} was not evaluated on {name}")
            ids = list(dict.fromkeys(row["id"] for row in self._rows(name, main[name])))
            same = asked.get(name) == fingerprint(one.questions)
            if not same or ids != [question.id for question in one.questions]:
                raise ConfigError(
                    f"--compare_to {folder}: its {len(ids)} questions of {name} are not the "
                    f"{len(one.questions)} of this evaluation; give both the same --limit and data"
                )

    def describe(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Where it is, and the settings in which it differs from this evaluation."""
        try:
            text = (self._folder / runfolder.CONFIG).read_text("utf-8")
            theirs = yaml.safe_load(text) or {}
        except (OSError, ValueError, yaml.YAMLError):
            theirs = {}
        return {
            "folder": str(self._folder),
            "model": self._results["model"],
            "other_settings": [
                f"{key} {theirs.get(key)} → {settings.get(key)}"
                for key in _PROTOCOL
                if theirs.get(key) != settings.get(key)
            ],
        }

    def compare(self, folder: Path, one: BenchmarkSet, result: Mapping[str, Any]) -> dict[str, Any]:
        """`changes.compare_scores` against the baseline, with the baseline's own scores."""
        name = one.benchmark.name
        other = self._results["benchmarks"][name]

        def ours(setting: str) -> list[dict[str, Any]]:
            return read_rows(folder / SAMPLES / name / f"{setting}.jsonl")

        found = compare_scores(other, lambda setting: self._rows(name, setting), result, ours)
        found["base"] = {key: value for key, value in other.items() if key != "controls"}
        best = best_control(other)
        return found | ({"base_best": best} if best else {})

    def _rows(self, name: str, setting: str) -> list[dict[str, Any]]:
        return read_rows(self._folder / SAMPLES / name / f"{setting}.jsonl")
