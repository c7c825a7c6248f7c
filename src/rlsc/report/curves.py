"""A run's signals by step, and calibration, as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rlsc.report.charts import Band, Chart, Series

Row = Mapping[str, Any]
CURVES = (
    ("Confidence", "probability", (("mean_p", "mean p(y)"), ("f_hat", "agreement F̂"))),
    ("Entropy", "nats a token", (("entropy", "token entropy"),)),
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
    ("Effective sample size", "completions", (("effective_sample_size", "of K"),)),
    ("Reward", "mean", (("reward", "reward"),)),
    ("Gradient norm", "before clipping", (("grad_norm", "norm"),)),
    (
        "The probe: no labels",
        "share",
        (("support", "untrained model's vote"), ("flips", "answers changed")),
    ),
    ("Divergence from the untrained model", "nats a token", (("divergence", "KL"),)),
)


def step_charts(
    metrics: Sequence[Row], guard: Sequence[Row], results: Mapping[str, Any] | None = None
) -> list[Chart]:
    """The signals by step, the guard's verdicts behind them, and accuracy where it was measured."""
    bands = [Band(row["step"] - 0.5, row["step"] + 0.5, row["verdict"]) for row in guard]
    marks = []
    if results and results.get("guard"):
        marks = [(float(results["guard"]["kept_step"]), "kept")]
    found = []
    for title, unit, names in CURVES:
        series = [
            Series(label, [(row["step"], number(row[name])) for row in metrics if name in row])
            for name, label in names
            if any(row.get(name) is not None for row in metrics)
        ]
        if series:
            found.append(Chart(title, "updates made", unit, series, bands, marks))
    curve = results.get("curve") if results else None
    if curve and curve[0]["greedy"]["n"]:
        found.append(_accuracy(curve, bands, marks))
    return found


def _accuracy(
    curve: Sequence[Row], bands: Sequence[Band], marks: Sequence[tuple[float, str]]
) -> Chart:
    series = []
    for label, group, key in (
        ("greedy", "greedy", "accuracy"),
        ("pass@1, T = 1", "sampled", "pass@1"),
    ):
        points = [(point["step"], 100 * point[group][key]) for point in curve]
        bounds = [
            (point["step"], *(100 * value for value in point[group]["interval"]))
            for point in curve
            if point[group]["interval"]
        ]
        series.append(Series(label, points, bounds))
    n = curve[0]["greedy"]["n"]
    return Chart(f"Accuracy on {n} questions", "updates made", "%", series, bands, marks)


def number(value: float | None) -> float:
    return math.nan if value is None else float(value)
