"""Charts as inline SVG: they scale, print, and follow the page's light or dark colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from markupsafe import Markup

from rlsc.report.escaping import plain

WIDTH, HEIGHT = 340, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 34

Point = tuple[float, float]
Points = Sequence[Point]


@dataclass(frozen=True)
class Series:
    """A line with its name; points whose value is not a number leave a gap."""

    name: str
    points: Points
    bounds: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): an interval that is drawn behind the line."""
    colour: int | None = None
    """Its place in the palette; None: that of the series. From the 9th on lines are dashed."""
    joined: bool = True


@dataclass(frozen=True)
class Band:
    """A coloured stretch of the x axis, such as a guard's verdict."""

    start: float
    end: float
    kind: str


@dataclass(frozen=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    bands: Sequence[Band] = ()
    marks: Sequence[tuple[float, str]] = ()
    """(x, what is there): a vertical line."""
    bars: bool = False
    y_from_zero: bool = True
    unit_square: bool = False
    """Both axes from 0 to 1, with their diagonal."""
    note: str = field(default="")


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)


def draw(chart: Chart) -> Markup:
    """The chart as a figure, with its title, axes, legend, and its data as a description."""
    series = [
        one if one.colour is not None else replace(one, colour=index)
        for index, one in enumerate(chart.series)
    ]
    chart = replace(chart, series=series)
    known = [(x, y) for one in chart.series for x, y in one.points if math.isfinite(y)]
    if not known:
        return Markup("")
    lows = [low for one in chart.series for _, low, _ in one.bounds]
    highs = [high for one in chart.series for _, _, high in one.bounds]
    xs = [x for x, _ in known] + [x for x, _ in chart.marks]
    ys = [y for _, y in known] + lows + highs
    half = 0.5 * _step(xs) if chart.bars else 0.0
    if chart.unit_square:
        xs, ys = [0.0, 1.0], [0.0, 1.0]
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys), chart.y_from_zero)
    x = _Scale(min(xs) - half, max(xs) + half, _LEFT, WIDTH - _RIGHT)
    y = _Scale(y_ticks[0], y_ticks[-1], HEIGHT - _BOTTOM, _TOP)
    body = [
        *_bands(chart.bands, x),
        *_axes(chart, x, y, x_ticks, y_ticks),
        *(_bars(chart.series, x, y, _step(xs)) if chart.bars else _lines(chart.series, x, y)),
        *_marks(chart.marks, x),
    ]
    label = plain(f"{chart.title}. {' '.join(_described(one, chart) for one in chart.series)}")
    legend = "".join(
        f'<span class="key k{(one.colour or 0) % 8}{_dash(one, " dash")}">{plain(one.name)}</span>'
        for one in chart.series
    )
    kinds = dict.fromkeys(one.kind for one in chart.bands)
    legend += "".join(f'<span class="key band-{plain(one)}">{plain(one)}</span>' for one in kinds)
    note = f'<p class="note">{plain(chart.note)}</p>' if chart.note else ""
    return Markup(
        f'<figure class="chart"><figcaption>{plain(chart.title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(body)}</svg>'
        f'<div class="legend">{legend}</div>{note}</figure>'
    )


def _lines(series: Sequence[Series], x: _Scale, y: _Scale) -> list[str]:
    parts = []
    for one in series:
        colour = (one.colour or 0) % 8
        for at, low, high in one.bounds:
            parts.append(
                f'<line class="range c{colour}" x1="{x(at)}" x2="{x(at)}" '
                f'y1="{y(low)}" y2="{y(high)}"/>'
            )
        for run in _unbroken(one.points) if one.joined else ():
            path = " ".join(f"{x(a)},{y(b)}" for a, b in run)
            style = f"line c{colour}{_dash(one, ' dashed')}"
            parts.append(f'<polyline class="{style}" points="{path}"/>')
        parts += [
            f'<circle class="dot c{colour}" cx="{x(a)}" cy="{y(b)}" r="2.4">'
            f"<title>{plain(one.name)}: {b:.4g} at {a:g}</title></circle>"
            for a, b in one.points
            if math.isfinite(b)
        ]
    return parts


def _bars(series: Sequence[Series], x: _Scale, y: _Scale, step: float) -> list[str]:
    parts, floor = [], y(max(y.low, 0.0))
    width = (x(step) - x(0)) * 0.8 / len(series)
    for index, one in enumerate(series):
        for a, b in one.points:
            left = x(a) + (index - len(series) / 2) * width
            colour = (one.colour or 0) % 8
            parts.append(
                f'<rect class="bar c{colour}" x="{left:.1f}" y="{y(b)}" width="{width:.1f}" '
                f'height="{max(floor - y(b), 0):.1f}"><title>{plain(one.name)}: {b:.4g} at '
                f"{a:g}</title></rect>"
            )
    return parts


def _axes(
    chart: Chart, x: _Scale, y: _Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]
) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in y_ticks:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(tick)}" y2="{y(tick)}"/>'
        )
        parts.append(f'<text x="{_LEFT - 5}" y="{y(tick) + 3}" class="end">{tick:g}</text>')
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            parts.append(f'<text x="{x(tick)}" y="{bottom + 13}" class="mid">{tick:g}</text>')
    if chart.unit_square:
        ends = f'x1="{x(x.low)}" y1="{y(x.low)}" x2="{x(x.high)}" y2="{y(x.high)}"'
        parts.append(f'<line class="ideal" {ends}/>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 5}" class="mid">{plain(chart.x_label)}</text>')
    centre = (_TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(10 {centre}) rotate(-90)" class="mid">'
        f"{plain(chart.y_label)}</text>"
    )
    return parts


def _bands(bands: Sequence[Band], x: _Scale) -> list[str]:
    parts = []
    for one in bands:
        left, right = x(max(one.start, x.low)), x(min(one.end, x.high))
        parts.append(
            f'<rect class="band {plain(one.kind)}" x="{left}" y="{_TOP}" '
            f'width="{max(right - left, 0):.1f}" height="{HEIGHT - _TOP - _BOTTOM}"/>'
        )
    return parts


def _marks(marks: Sequence[tuple[float, str]], x: _Scale) -> list[str]:
    return [
        f'<line class="mark" x1="{x(at)}" x2="{x(at)}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        f'<text x="{x(at)}" y="{_TOP - 2}" class="mid">{plain(name)}</text>'
        for at, name in marks
    ]


def _described(one: Series, chart: Chart) -> str:
    """A line in words, for those who do not see it."""
    known = [(x, y) for x, y in one.points if math.isfinite(y)]
    if not known:
        return f"{one.name}: nothing."
    if not one.joined or chart.bars:
        x, y = max(known, key=lambda point: point[1])
        return f"{one.name}: {len(known)} values, the highest {y:.3g} at {x:g}."
    (x0, y0), (x1, y1) = known[0], known[-1]
    low, high = min(y for _, y in known), max(y for _, y in known)
    return f"{one.name}: {y0:.3g} at {x0:g}, {y1:.3g} at {x1:g}, from {low:.3g} to {high:.3g}."


def _dash(series: Series, name: str) -> str:
    return name if (series.colour or 0) >= 8 else ""


def _unbroken(points: Points) -> list[list[Point]]:
    runs: list[list[Point]] = [[]]
    for a, b in points:
        if math.isfinite(b):
            runs[-1].append((a, b))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _step(xs: Sequence[float]) -> float:
    """The smallest distance between two of them."""
    distinct = sorted(set(xs))
    return min((b - a for a, b in pairwise(distinct)), default=1.0)


def _ticks(low: float, high: float, from_zero: bool = False) -> list[float]:
    """Five or so round numbers that span low to high."""
    low = min(low, 0.0) if from_zero else low
    high = max(high, 0.0) if from_zero else high
    if high == low:
        high = low + 1
    raw = (high - low) / 4
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first, last = math.floor(low / step), math.ceil(round(high / step, 9))
    return [round(step * index, 12) for index in range(first, last + 1)]
