"""Does confidence predict correctness? As a table, and as reliability curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlsc.report.charts import Chart, Series
from rlsc.report.text import Table
from rlsc.statistics.intervals import wilson_interval

CONFIDENCE = (
    "Confidence is exp(log-prob a token) of an answer, under the distribution sampled from. AUROC: "
    "the chance that a right answer has more of it than a wrong one; 0.5 is chance. Calibration "
    "error: the mean distance of confidence and share right, over ten bins. Lines are 95 % "
    "intervals."
)

Found = Mapping[str, Any]
"""What `scores.calibration` gives."""


def calibration_table(sides: Mapping[str, Found]) -> Table:
    """A row for each name."""
    return ("", "answers", "AUROC", "calibration error"), [
        (
            name,
            str(one["n"]),
            _figure(one["auroc"]),
            _figure(one["expected_calibration_error"]),
        )
        for name, one in sides.items()
    ]


def calibration_chart(title: str, sides: Mapping[str, Found]) -> Chart:
    """The points of each reliability curve, not joined: a bin may hold a single answer."""
    series = [
        Series(
            f"{name}, n = {one['n']}",
            [(part["mean_confidence"], part["accuracy"]) for part in one["curve"]],
            [_bounds(part) for part in one["curve"]],
            colour,
            joined=False,
        )
        for colour, (name, one) in enumerate(sides.items())
        if one["curve"]
    ]
    return Chart(title, "confidence", "share right", series, unit_square=True)


def _bounds(part: Mapping[str, Any]) -> tuple[float, float, float]:
    low, high = wilson_interval(round(part["accuracy"] * part["n"]), part["n"])
    return part["mean_confidence"], low, high


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
