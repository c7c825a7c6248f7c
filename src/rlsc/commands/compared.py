"""What the runs of a comparison have come to, from their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from rlsc.config import CompareConfig
from rlsc.guard import COLLAPSED
from rlsc.objectives import registered
from rlsc.records import (
    AS_TRAINED,
    AT_BEST,
    AT_TRAINING_TEMPERATURE,
    EVALUATION,
    GREEDY,
    SAMPLED,
    UNTRAINED_BEST,
    VOTE,
    ComparedMethod,
    ComparedRun,
    ComparisonFolder,
    ComparisonPoint,
    ComparisonResults,
    CurvePoint,
    EvaluationResults,
    GuardResults,
    Legs,
    TrainingFolder,
    TrainingResults,
    read_jsonl,
    read_results_of,
    read_rows,
    rows_file,
)
from rlsc.statistics import collapse_step, mean_until, seed_interval
from rlsc.types import Difference, Estimate

BASE = "base"
FAILURE = "failure.txt"
"""In a run's folder: why it failed, in a line."""


def part_of(label: str, seed: int) -> str:
    """A run's folder within its comparison's."""
    return f"{label}/seed-{seed}"


def compared(folder: ComparisonFolder, questions: str, config: CompareConfig) -> ComparisonResults:
    """What there is of every run; `questions` is a name."""
    base = read_results_of(EvaluationResults, folder.base.path)
    chosen = [score.setting.label for score in base.tasks[EVALUATION].tuned.scores]
    samples = folder.base.samples if UNTRAINED_BEST in chosen else None
    legs = Legs(folder.path).seconds
    rows = {}
    for label, settings in config.methods.items():
        of = None if label in config.transductive else samples
        runs = [
            _run(folder.run(label, seed), seed, of, legs.get(part_of(label, seed), 0.0))
            for seed in config.seeds_of(label)
        ]
        rows[label] = _method(label, settings, runs)
    return ComparisonResults(
        questions,
        base,
        config.temperatures,
        config.seeds,
        tuple(row for label, row in rows.items() if label not in config.transductive),
        tuple(row for label, row in rows.items() if label in config.transductive),
        legs.get(BASE, 0.0),
    )


def _method(
    label: str, settings: Mapping[str, object], runs: Sequence[ComparedRun]
) -> ComparedMethod:
    """Means over the runs that are done, with intervals over seeds."""
    done = [run for run in runs if run.done]
    columns = {
        name: [getattr(run.final, name) for run in done]
        for name in ("greedy", "pass_at_1", "majority", "mean_length", "seconds")
    }
    columns["until_collapse"] = [run.mean_until for run in done if run.mean_until is not None]
    columns["distinct"] = [run.distinct for run in done if run.distinct is not None]
    summary = {
        name: Estimate(fmean(values), seed_interval(values))
        for name, values in columns.items()
        if values
    }
    kind = registered(str(settings.get("objective", label)))
    is_control = kind is not None and kind.is_control
    return ComparedMethod(label, dict(settings), tuple(runs), summary, is_control)


def _run(
    folder: TrainingFolder, seed: int, base: Path | None = None, took: float = 0.0
) -> ComparedRun:
    """Its curve by step, with the seconds of training until then; or why there is none.

    `base` has the untrained model's answers in the way that was chosen for it, if one was. `took`
    are the seconds of all its legs in this comparison.
    """
    results = folder.results() if folder.holds_run else None
    failure = folder.path / FAILURE
    if results is None:
        failed = _text(failure) if failure.exists() else None
        return ComparedRun(seed, failed=failed, total_seconds=took)
    metrics = read_jsonl(folder.path / "metrics.jsonl")
    seconds = [0.0]
    for row in metrics:
        seconds.append(seconds[-1] + row["seconds"])
    points = tuple(_point(point, seconds[point.step]) for point in results.curve)
    steps, accuracies = [p.step for p in points], [p.pass_at_1 for p in points]
    collapsed = collapse_step(steps, accuracies)
    return ComparedRun(
        seed,
        points,
        metrics[-1]["distinct_completions"],
        collapse=collapsed,
        guard_collapse=_seen_by_guard(results.guard),
        differences=_differences(folder, results, base),
        total_seconds=max(took, results.seconds.get("total", 0.0)),  # of one made elsewhere
        mean_until=mean_until(steps, accuracies, collapsed),
        examined=results.examined,
        cut={
            name: (task.base.main.truncation_rate, task.tuned.main.truncation_rate)
            for name, task in results.tasks.items()
            if task.base
        },
    )


def _differences(
    folder: TrainingFolder, results: TrainingResults, base: Path | None
) -> dict[str, Difference]:
    """Against the untrained model, question by question; those with the chosen way where `base`."""
    from rlsc.commands.train_evaluation import AFTER  # with torch: not for --help
    from rlsc.evaluation import Answers, compare

    differences: dict[str, Difference] = {}
    own = results.evaluation
    assert own is not None, "a comparison has an evaluation"
    by_label = {each.after: each for each in own.differences}
    differences[AS_TRAINED] = by_label[GREEDY]
    differences[VOTE] = by_label[AT_TRAINING_TEMPERATURE]
    tasks = {EVALUATION: own} | dict(results.benchmarks)
    for name, task in tasks.items():
        title = "" if name == EVALUATION else f"{name}, "
        if name != EVALUATION and task.difference:
            differences[f"{title}{AS_TRAINED}"] = task.difference
        if base is not None:
            label = task.tuned.main.setting.label
            after = read_rows(rows_file(folder.stage(AFTER), name, label))
            before = read_rows(rows_file(base, name, UNTRAINED_BEST))
            sides = Answers(UNTRAINED_BEST, before), Answers(label, after)
            differences[f"{title}{AT_BEST}"] = compare(*sides)
    return differences


def _seen_by_guard(guard: GuardResults | None) -> int | None:
    """The first step that it called a collapse."""
    verdicts = guard.verdicts if guard else {}
    return next((step for step, of in sorted(verdicts.items()) if of.verdict == COLLAPSED), None)


def _point(point: CurvePoint, seconds: float) -> ComparisonPoint:
    scores = {score.setting.label: score for score in point.scores}
    greedy, sampled = scores[GREEDY], scores[SAMPLED]
    return ComparisonPoint(
        step=point.step,
        seconds=seconds,
        greedy=_value(greedy.accuracy),
        pass_at_1=_value(sampled.accuracy),
        majority=_value(sampled.majority or sampled.accuracy),
        mean_length=greedy.mean_length,
    )


def _value(figure: Estimate | None) -> float:
    assert figure is not None, "a comparison has reference answers"
    return figure.value


def _text(file: Path) -> str:
    return file.read_text("utf-8").strip()
