"""A run step by step: the signals that it saw without labels, and what the guard made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rlsc.records import CurvePoint, GuardResults, TrainingResults
from rlsc.report.charts import Band, Chart, Series
from rlsc.report.page import Block, Curves, Heading, Paragraph, Table
from rlsc.report.sections.words import asked, decimal
from rlsc.types import Estimate

Line = Mapping[str, float | None]
"""Of metrics.jsonl, whose columns differ by objective and environment; None: no number."""
Verdicts = Sequence[tuple[int, str]]
"""The guard's, by step."""

FIRST = 4
"""As many charts stand on the first screen."""

CURVES = (
    ("Confidence", "probability", (("mean_p", "mean p(y)"), ("f_hat", "agreement F̂"))),
    ("Length", "tokens", (("completion_length", "completion"),)),
    (
        "Diversity",
        "share",
        (
            ("distinct_completions", "distinct completions"),
            ("distinct_answers", "distinct answers"),
            ("majority_share", "majority's share"),
            ("truncation_rate", "cut off"),
        ),
    ),
    ("Entropy", "nats a token", (("entropy", "token entropy"),)),
    ("Effective sample size", "completions", (("effective_sample_size", "of K"),)),
    ("Reward", "mean", (("reward", "reward"),)),
    ("Gradient norm", "before clipping", (("grad_norm", "norm"),)),
    (
        "The probe: no labels",
        "share",
        (("guard/support", "base's vote"), ("guard/flips", "answers changed")),
    ),
    ("Divergence from the base", "nats a token", (("guard/divergence", "KL"),)),
)
_OF_SIBLINGS = frozenset(
    ("distinct_completions", "distinct_answers", "majority_share", "effective_sample_size")
)
"""Which say nothing where each prompt has one completion."""
_COLUMNS = (
    *("step", "loss", "reward", "majority_share", "zero_weight", "mean_p", "f_hat"),
    *("effective_sample_size", "underflowed_weights", "alpha_share", "entropy"),
    *("completion_length", "truncation_rate", "distinct_completions"),
    *("guard/support", "guard/flips", "guard/divergence", "grad_norm"),
)


def step_charts(
    metrics: Sequence[Line], guard: Verdicts, results: TrainingResults | None = None
) -> list[Chart]:
    """Accuracy where it was measured, then the signals; the guard's verdicts behind them."""
    bands = [Band(step - 0.5, step + 0.5, verdict) for step, verdict in guard]
    kept = results.guard if results else None
    marks = [(float(kept.kept_step), "kept")] if kept else []
    charts = [_accuracy(results, bands, marks)] if results and results.curve else []
    unknown = frozenset() if is_known(metrics, "f_hat") else _OF_SIBLINGS
    for title, unit, names in CURVES:
        series = [
            signal(metrics, name, label, colour)
            for colour, (name, label) in enumerate(names)
            if is_known(metrics, name) and name not in unknown
        ]
        if series:
            charts.append(Chart(title, "updates made", unit, series, bands, marks))
    return [chart for chart in charts if chart.series]


def signal(metrics: Sequence[Line], name: str, label: str, colour: int) -> Series:
    """A column of the metrics as a line; a step without a value leaves a gap."""
    known = [(figure(row, "step"), row[name]) for row in metrics if name in row]
    points = [(step, math.nan if value is None else float(value)) for step, value in known]
    return Series(label, points, colour=colour)


def figure(row: Line, name: str) -> float:
    """What every row has. Raises `ValueError` where it is no number."""
    value = row[name]
    if value is None:
        raise ValueError(f"{name} is no number")
    return value


def is_known(metrics: Sequence[Line], name: str) -> bool:
    """Whether a column of the metrics has a value at any step."""
    return any(row.get(name) is not None for row in metrics)


def _accuracy(
    results: TrainingResults, bands: Sequence[Band], marks: Sequence[tuple[float, str]]
) -> Chart:
    """By step, in each setting of the run's own evaluation, with the base's best as a level."""
    curve, series = results.curve, []
    for colour, score in enumerate(curve[0].scores):
        label = score.setting.label
        known = [(point, figure) for point in curve if (figure := _at(point, label))]
        if not known:
            continue
        greedy = score.setting.temperature == 0
        series.append(
            Series(
                asked(score.setting) if greedy else f"pass@1, {asked(score.setting)}",
                [(point.step, 100 * figure.value) for point, figure in known],
                [
                    (point.step, 100 * figure.interval[0], 100 * figure.interval[1])
                    for point, figure in known
                    if figure.interval
                ],
                colour,
            )
        )
    base = results.evaluation.base if results.evaluation else None
    level = (100 * base.best.figure.value, "base at its best") if base and base.best else None
    title = f"Accuracy on {curve[0].scores[0].n} questions"
    return Chart(title, "updates made", "%", series, bands, marks, level)


def _at(point: CurvePoint, label: str) -> Estimate | None:
    return next((s.accuracy for s in point.scores if s.setting.label == label), None)


def by_step(charts: Sequence[Chart], metrics: Sequence[Line]) -> Iterator[Block]:
    """The charts that the first screen has no room for, and every figure."""
    if not metrics:
        return
    yield Heading("By step")
    yield Curves(charts)
    columns = [name for name in _COLUMNS if is_known(metrics, name)]
    rows = [[decimal(row.get(name), 3) for name in columns] for row in metrics]
    yield Paragraph(
        "Step s: the policy after s updates. alpha_share: how much of the total weight is α. "
        "zero_weight: questions whose completions weigh nothing. majority_share: completions that "
        "agree with their question's majority."
    )
    yield Table(columns, rows, folded="Every step")


# The guard.


def guard_section(results: TrainingResults) -> Iterator[Block]:
    """Its conclusion, and what it said of each step."""
    guard = results.guard
    if guard is None or not guard.verdicts:
        return
    yield Heading("The guard")
    yield Paragraph(guard_text(results))
    rows = []
    for step, verdict in guard.verdicts.items():
        name = verdict.verdict + ("" if verdict.asked else ", probe not asked")
        score = f"{guard.scores[step]:.3f}" if step in guard.scores else ""
        rows.append((str(step), name, score, "; ".join(verdict.reasons)))
    yield Table(("step", "verdict", "score", "why"), rows, words=True, folded="Every verdict")


def guard_text(results: TrainingResults) -> str:
    """Which step is the result and why; empty where the guard has seen nothing."""
    guard, steps = results.guard, results.steps
    if guard is None or not guard.verdicts:
        return ""
    text = f"Step {guard.kept_step} of {steps} is the result: {guard.reason}."
    if guard.stopped_at is not None:
        text += f" The run was stopped at step {guard.stopped_at}."
    elif guard.mode == "observe" and guard.advised_step != steps:
        text += f" --guard stop would have kept step {guard.advised_step}."
    probe = guard.probe_questions
    seen = f"the rollouts and of {probe} {results.probed}" if probe else "the rollouts"
    if not results.training_questions:  # of a game: its prompts change from step to step
        seen = f"{probe} {results.probed}"
    return f"{text} No label was used: the signs are of {seen}."


def guard_verdicts(guard: GuardResults | None) -> Verdicts:
    """By a run's results, where its records are gone."""
    return [(step, each.verdict) for step, each in guard.verdicts.items()] if guard else []
