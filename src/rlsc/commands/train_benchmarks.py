"""The benchmarks of a training run: the same protocol before and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlsc.config.run import RunConfig
from rlsc.engines import spread
from rlsc.evaluation.benchmark_run import (
    BenchmarkEvaluator,
    Protocol,
    Setting,
    control_settings,
    references,
    resolve_template,
    summarise_benchmark,
)
from rlsc.evaluation.benchmarks.loading import BenchmarkSet
from rlsc.evaluation.changes import compare_scores
from rlsc.evaluation.samples import read_rows
from rlsc.grading import Grader
from rlsc.training.arguments import RLSCConfig
from rlsc.training.trainer import RLSCTrainer
from rlsc.types import Question


class TrainingBenchmarks:
    """Evaluates the trainer's model as it stands; each evaluation has a folder by its step."""

    def __init__(
        self,
        config: RunConfig,
        training: RLSCConfig,
        trainer: RLSCTrainer,
        questions: Sequence[Question],
        folder: Path,
        sets: Sequence[BenchmarkSet],
    ) -> None:
        self._sets = sets
        self._trainer, self._questions = trainer, questions
        self._folder = folder / "eval" / "benchmarks"
        tokenizer = trainer.processing_class
        template = resolve_template(config.benchmark_template or config.template, tokenizer)
        main = Setting(template, config.benchmark_temperature, config.benchmark_samples)
        settings = (
            control_settings(main, config.benchmark_samples, tokenizer)
            if config.controls
            else (main,)
        )
        self._cap = config.eval_max_new_tokens or training.max_completion_length
        protocol = Protocol(
            settings,
            self._cap,
            training.seed,
            config.system_prompt,
            block_rows=4 * training.rollout_batch_size,
        )
        self._settings = settings
        self._evaluator = BenchmarkEvaluator(
            self._sets, protocol, trainer.model, tokenizer, spread(trainer.engine)
        )

    def evaluate(self) -> Path:
        """Ask the model as it is now; rows that an interrupted run has written are kept."""
        trainer = self._trainer
        trainer.engine.sync(trainer.accelerator.unwrap_model(trainer.model))
        folder = self._folder / f"step-{trainer.state.global_step}"
        with Grader() as grader:
            self._evaluator.run(folder, grader)
        return folder

    def results(self, before: Path, after: Path) -> dict[str, Any]:
        """By benchmark: scores before and after, and their paired difference."""
        found = {}
        with Grader() as grader:
            unreadable = [references(one).unreadable(grader) for one in self._sets]
        for one, ids in zip(self._sets, unreadable, strict=True):
            scores = [
                summarise_benchmark(one, self._settings, folder, self._cap, self._questions, ids)
                for folder in (before, after)
            ]
            found[one.benchmark.name] = {
                "before": scores[0],
                "after": scores[1],
                "difference": self._compare(before, after, one, scores),
            }
        return found

    def _compare(self, before: Path, after: Path, one: BenchmarkSet, scores: Sequence[Any]) -> Any:
        def rows(folder: Path) -> Callable[[str], list[dict[str, Any]]]:
            return lambda setting: read_rows(folder / one.benchmark.name / f"{setting}.jsonl")

        return compare_scores(scores[0], rows(before), scores[1], rows(after))
