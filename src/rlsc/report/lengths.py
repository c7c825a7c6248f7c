"""Did answers get shorter, and which: their distribution before and after, right and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from rlsc.report.charts import Chart, Series
from rlsc.statistics import paired_difference
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


def length_test(before: Sequence[Row], after: Sequence[Row]) -> str:
    """The paired change of length in words, with its interval and Wilcoxon's signed-rank p."""
    second: dict[str, list[int]] = {}
    first: dict[str, list[int]] = {}
    for found, rows in ((first, before), (second, after)):
        for row in rows:
            found.setdefault(row["id"], []).append(row["tokens"])
    names = [name for name in first if name in second]
    if not names:
        return ""
    pairs = [(float(np.mean(first[name])), float(np.mean(second[name]))) for name in names]
    old, new = [a for a, _ in pairs], [b for _, b in pairs]
    change, interval = paired_difference(old, new)
    text = f"Mean length {np.mean(old):.1f} → {np.mean(new):.1f} tokens, {change:+.1f}"
    if interval:
        text += f" [{interval[0]:+.1f}, {interval[1]:+.1f}]"
    if any(a != b for a, b in pairs):
        p = float(stats.wilcoxon(old, new).pvalue)
        text += f"; Wilcoxon's signed-rank p = {p:.2g}"
    text = f"{text}, n = {len(names)} questions"
    cut = [
        100 * float(np.mean([row["finish_reason"] == "length" for row in rows]))
        for rows in (before, after)
    ]
    if max(cut) >= 0.5:
        text += f"; cut off, and longer in truth: {cut[0]:.0f} % → {cut[1]:.0f} %"
    return text


def _histogram(lengths: Sequence[int], longest: int) -> list[tuple[float, float]]:
    counts, edges = np.histogram(lengths, bins=BINS, range=(0, longest + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    return [
        (round(float(m), 2), float(c) / len(lengths)) for m, c in zip(middles, counts, strict=True)
    ]
