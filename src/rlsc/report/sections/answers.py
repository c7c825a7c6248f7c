"""What the answers are like: do they get shorter, and does confidence predict correctness?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from rlsc.records import AnswerRow
from rlsc.report.charts import Chart, Series
from rlsc.report.page import Block, Bullets, Curves, Heading, Paragraph, Table
from rlsc.report.sections.words import NOTHING, length_lines, share
from rlsc.statistics import wilson_interval
from rlsc.types import Calibration, Difference, ReliabilityBin, Score, Verdict

BINS = 16

_CONFIDENCE = (
    "Confidence is exp(log-prob a token) of an answer, under the distribution sampled from. AUROC: "
    "the chance that a right answer has more of it than a wrong one; 0.5 is chance. Calibration "
    "error: the mean distance of confidence and share right, over ten bins. Lines are 95 % "
    "intervals."
)


def calibration(scores: Mapping[str, Score], charts: Sequence[Chart]) -> Iterator[Block]:
    """Of each model on each task, by a name for both."""
    known = {name: score for name, score in scores.items() if score.calibration}
    if not known:
        return
    yield Heading("Does confidence predict correctness?")
    yield Paragraph(_CONFIDENCE)
    rows = [(name, *_cells(score)) for name, score in known.items()]
    header = ("", "answers", "AUROC", "calibration error", "repeated 4-grams")
    yield Table(header, rows)
    yield Curves(charts)


def _cells(score: Score) -> tuple[str, ...]:
    assert score.calibration
    figures = score.calibration.auroc, score.calibration.error
    cells = [NOTHING if figure is None else f"{figure:.2f}" for figure in figures]
    return str(score.calibration.n), *cells, share(score.repetition)


def reliability(title: str, sides: Mapping[str, Calibration | None]) -> Chart:
    """The points of each reliability curve, not joined: a bin may hold a single answer."""
    series = [
        Series(
            f"{name}, n = {side.n}",
            [(part.mean_confidence, part.accuracy) for part in side.curve],
            [_bounds(part) for part in side.curve],
            colour,
            joined=False,
        )
        for colour, (name, side) in enumerate(sides.items())
        if side and side.curve
    ]
    return Chart(title, "confidence", "share right", series, unit_square=True)


def _bounds(part: ReliabilityBin) -> tuple[float, float, float]:
    low, high = wilson_interval(round(part.accuracy * part.n), part.n)
    return part.mean_confidence, low, high


def lengths(difference: Difference | None, title: str, charts: Sequence[Chart]) -> list[Block]:
    """The change of length in words, and histograms."""
    blocks: list[Block] = []
    lines = length_lines(difference.lengths) if difference else []
    if lines:
        blocks += [Paragraph(f"{title}."), Bullets(lines)]
    return [*blocks, Curves(charts)] if charts else blocks


def histograms(before: Sequence[AnswerRow], after: Sequence[AnswerRow], title: str) -> list[Chart]:
    """Of tokens: all answers, those that are right, and those that are not."""
    parts: tuple[tuple[str, Callable[[AnswerRow], bool]], ...] = (
        ("", lambda row: True),
        (", right answers", lambda row: row.verdict == Verdict.CORRECT.value),
        (", not right", lambda row: row.verdict not in (None, Verdict.CORRECT.value)),
    )
    longest = max((row.tokens for row in (*before, *after)), default=1)
    charts = []
    for name, keep in parts:
        series = []
        sides = (("tuned" if before else "model", after, 0), ("base", before, 1))
        for side, rows, colour in sides:
            tokens = [row.tokens for row in rows if keep(row)]
            if tokens:
                points = _histogram(tokens, longest)
                series.append(Series(f"{side}, n = {len(tokens)}", points, colour=colour))
        if series:
            label = f"{title}{name}"
            charts.append(Chart(label, "tokens", "share of answers", series, bars=True))
    return charts


def _histogram(tokens: Sequence[int], longest: int) -> list[tuple[float, float]]:
    counts, edges = np.histogram(tokens, bins=BINS, range=(0, longest + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    pairs = zip(middles, counts, strict=True)
    return [(round(float(middle), 2), float(count) / len(tokens)) for middle, count in pairs]
