"""Did answers get shorter, and which: their distribution before and after, right and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlsc.report.charts import Chart, Series
from rlsc.types import Verdict

BINS = 16
Row = Mapping[str, Any]


def length_charts(before: Sequence[Row], after: Sequence[Row], title: str) -> list[Chart]:
    """Histograms of tokens, all answers, and those that are right and that are wrong."""
    parts = (
        ("", lambda row: True),
        (", right answers", lambda row: row["verdict"] == Verdict.CORRECT.value),
        (", not right", lambda row: row["verdict"] not in (None, Verdict.CORRECT.value)),
    )
    longest = max((row["tokens"] for row in (*before, *after)), default=1)
    charts = []
    for name, keep in parts:
        series = []
        sides = (("base", before), ("tuned" if before else "model", after))
        for colour, (side, rows) in enumerate(sides):
            lengths = [row["tokens"] for row in rows if keep(row)]
            if lengths:
                points = _histogram(lengths, longest)
                series.append(Series(f"{side}, n = {len(lengths)}", points, colour=colour))
        if series:
            label = f"{title}{name}"
            charts.append(Chart(label, "tokens", "share of answers", series, bars=True))
    return charts


def length_lines(changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """`changes.length_changes` in words: the paired change, its interval, its p."""
    names = {"all": "All answers", "right": "Right answers", "not_right": "Answers not right"}
    return [f"{names[name]}: {_change(one)}." for name, one in changes.items()]


def _change(one: Mapping[str, Any]) -> str:
    text = f"mean length {one['before']:.1f} → {one['after']:.1f} tokens, {one['difference']:+.1f}"
    if one["interval"]:
        low, high = one["interval"]
        text += f" [{low:+.1f}, {high:+.1f}]"
    if one["wilcoxon_p"] is not None:
        text += f"; Wilcoxon's signed-rank p = {one['wilcoxon_p']:.2g}"
    text += f", n = {one['n']} questions"
    cut = [100 * value for value in one["cut_off"]]
    if max(cut) >= 0.5:
        text += f"; cut off, and longer in truth: {cut[0]:.0f} % → {cut[1]:.0f} %"
    return text


def _histogram(lengths: Sequence[int], longest: int) -> list[tuple[float, float]]:
    counts, edges = np.histogram(lengths, bins=BINS, range=(0, longest + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    return [
        (round(float(m), 2), float(c) / len(lengths)) for m, c in zip(middles, counts, strict=True)
    ]
