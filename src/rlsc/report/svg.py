"""Every chart of every report as SVG: in the page, and as the file that Markdown shows.

The one drawing path. SVG stays and matplotlib goes: a page's charts must scale to a phone, print,
follow light and dark, be read out, and cost a few kilobytes, none of which a PNG does; and a
library of 40 MB for three plots that the page drew a second time was one too many. Markdown shows
SVG files as well as PNG ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

from markupsafe import Markup

from rlsc.report.charts import COLOURS, Band, Chart, Intervals, Measured, Point, Series
from rlsc.report.escaping import plain

WIDTH, HEIGHT = 360, 196
"""Of a chart without its legend, in units of 1/10 of its text's size."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 12, 34
_LETTER, _LINE, _ROW = 6.2, 14, 24
_LONGEST = 38
"""Characters of a name that is drawn; its tooltip has all of it."""


@dataclass(frozen=True)
class Scale:
    """From a value to a coordinate."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class _Drawing:
    parts: Sequence[str]
    height: float
    description: str


def draw(chart: Chart | Intervals) -> Markup:
    """The chart with axes, legend, and its data as a description; empty where it has none."""
    drawing = _drawing(chart)
    if drawing is None:
        return Markup("")
    label = plain(f"{chart.title}. {drawing.description}".removeprefix(". "))
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {drawing.height:g}" role="img" aria-label="{label}">'
        f"{''.join(drawing.parts)}</svg>"
    )


def sheet(charts: Sequence[Chart | Intervals]) -> str:
    """All charts in one file that stands by itself, with their titles, two beside each other."""
    drawn = [(chart, drawing) for chart in charts if (drawing := _drawing(chart))]
    parts, top, gap, columns = [], 8.0, 20, 2
    for start in range(0, len(drawn), columns):
        row = drawn[start : start + columns]
        for column, (chart, drawing) in enumerate(row):
            at = f"translate({gap / 2 + column * (WIDTH + gap)} {top})"
            title = f'<text class="title" x="4" y="12">{plain(chart.title)}</text>'
            body = f'<g transform="translate(0 22)">{"".join(drawing.parts)}</g>'
            parts.append(f'<g transform="{at}">{title}{body}</g>')
        top += 22 + max(drawing.height for _, drawing in row) + 12
    width = min(columns, max(len(drawn), 1)) * (WIDTH + gap)
    described = " ".join(f"{chart.title}. {drawing.description}" for chart, drawing in drawn)
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top:g}" width="{width}" '
        f'height="{top:g}" role="img" aria-label="{plain(described)}"><style>{style()}</style>'
        f'<rect class="paper" width="100%" height="100%"/>{"".join(parts)}</svg>\n'
    )
    return text.encode("utf-8", "replace").decode("utf-8")


def style() -> str:
    """The charts' own style sheet, of the page and of the file."""
    return resources.files("rlsc.report").joinpath("html", "assets", "chart.css").read_text("utf-8")


def _drawing(chart: Chart | Intervals) -> _Drawing | None:
    if isinstance(chart, Intervals):
        return _intervals(chart) if chart.rows else None
    if not any(math.isfinite(y) for series in chart.series for _, y in series.points):
        return None
    return _plot(chart)


# Lines and bars over numbered axes.


def _plot(chart: Chart) -> _Drawing:
    x_ticks, y_ticks, x, y = _axes_of(chart)
    step = _step([at for series in chart.series for at, _ in series.points])
    data = _bars(chart.series, x, y, step) if chart.bars else _lines(chart.series, x, y)
    legend, height = _legend(chart)
    parts = [
        *_bands(chart.bands, x),
        *_axes(chart, x, y, x_ticks, y_ticks),
        *data,
        *_marks(chart, x, y),
        *legend,
    ]
    description = " ".join(_described(series, chart) for series in chart.series)
    return _Drawing(parts, HEIGHT + height, description)


def _axes_of(chart: Chart) -> tuple[list[float], list[float], Scale, Scale]:
    """Ticks and scales that hold all points, intervals, marks and the level; y has its zero."""
    known = [(x, y) for series in chart.series for x, y in series.points if math.isfinite(y)]
    bounds = [edge for series in chart.series for _, *edges in series.bounds for edge in edges]
    xs = [x for x, _ in known] + [x for x, _ in chart.marks]
    ys = [y for _, y in known] + bounds + ([chart.level[0]] if chart.level else [])
    half = 0.5 * _step(xs) if chart.bars else 0.0
    if chart.unit_square:
        xs, ys = [0.0, 1.0], [0.0, 1.0]
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _ticks(min([0.0, *ys]), max([0.0, *ys]))
    x = Scale(min(xs) - half, max(xs) + half, _LEFT, WIDTH - _RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - _BOTTOM, _TOP)
    return x_ticks, y_ticks, x, y


def _lines(several: Sequence[Series], x: Scale, y: Scale) -> Iterator[str]:
    for series in several:
        style = _style(series)
        if series.shaded and len(series.bounds) > 1:
            upper = [f"{x(at)},{y(high)}" for at, _, high in series.bounds]
            lower = [f"{x(at)},{y(low)}" for at, low, _ in reversed(series.bounds)]
            yield f'<polygon class="shade {style}" points="{" ".join(upper + lower)}"/>'
        for at, low, high in () if series.shaded else series.bounds:
            ends = f'x1="{x(at)}" x2="{x(at)}" y1="{y(low)}" y2="{y(high)}"'
            yield f'<line class="range {style}" {ends}/>'
        for run in _unbroken(series.points) if series.joined else ():
            path = " ".join(f"{x(a)},{y(b)}" for a, b in run)
            yield f'<polyline class="line {style}" points="{path}"/>'
        radius = 2.4 if len(series.points) <= 40 else 1.2
        for a, b in series.points:
            if math.isfinite(b):
                yield (
                    f'<circle class="dot {style}" cx="{x(a)}" cy="{y(b)}" r="{radius}">'
                    f"<title>{plain(series.name)}: {b:.4g} at {a:g}</title></circle>"
                )


def _bars(several: Sequence[Series], x: Scale, y: Scale, step: float) -> Iterator[str]:
    floor = y(max(y.low, 0.0))
    width = (x(step) - x(0)) * 0.8 / len(several)
    for index, series in enumerate(several):
        for a, b in series.points:
            left = x(a) + (index - len(several) / 2) * width
            yield (
                f'<rect class="bar {_style(series)}" x="{left:.1f}" y="{y(b)}" '
                f'width="{width:.1f}" height="{max(floor - y(b), 0):.1f}">'
                f"<title>{plain(series.name)}: {b:.4g} at {a:g}</title></rect>"
            )


def _axes(
    chart: Chart, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]
) -> Iterator[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for tick in y_ticks:
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(tick)}" y2="{y(tick)}"/>'
        yield f'<text x="{_LEFT - 5}" y="{y(tick) + 3:g}" class="end">{tick:g}</text>'
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            anchor = "end" if x(tick) > right - 8 else "mid"
            yield f'<text x="{x(tick)}" y="{bottom + 13}" class="{anchor}">{tick:g}</text>'
    if chart.unit_square:
        ends = f'x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"'
        yield f'<line class="ideal" {ends}/>'
    middle, centre = (_LEFT + right) / 2, (_TOP + bottom) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 6}" class="mid">{plain(chart.x_label)}</text>'
    yield (
        f'<text transform="translate(10 {centre}) rotate(-90)" class="mid">'
        f"{plain(chart.y_label)}</text>"
    )


def _bands(bands: Sequence[Band], x: Scale) -> Iterator[str]:
    for band in bands:
        left, right = x(max(band.start, x.low)), x(min(band.end, x.high))
        yield (
            f'<rect class="band {plain(band.kind)}" x="{left}" y="{_TOP}" '
            f'width="{max(right - left, 0):.1f}" height="{HEIGHT - _TOP - _BOTTOM}"/>'
        )


def _marks(chart: Chart, x: Scale, y: Scale) -> Iterator[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for at, name in chart.marks:
        yield f'<line class="mark" x1="{x(at)}" x2="{x(at)}" y1="{_TOP}" y2="{bottom}"/>'
        anchor = "end" if x(at) > (_LEFT + right) / 2 else "start"
        yield f'<text x="{x(at)}" y="{_TOP - 3}" class="{anchor}">{plain(name)}</text>'
    if chart.level:
        at = y(chart.level[0])
        yield f'<line class="level" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>'


def _legend(chart: Chart) -> tuple[list[str], float]:
    """Keys with their names, in as many lines as they need; and the height of those."""
    keys = [(f"key {_style(series)}", series.name) for series in chart.series]
    keys += [(f"band {kind}", kind) for kind in dict.fromkeys(band.kind for band in chart.bands)]
    keys += [("level", chart.level[1])] if chart.level else []
    parts, left, line = [], float(_LEFT), 0
    for style, name in keys:
        short = _short(name)
        width = 20 + _LETTER * len(short)
        if left > _LEFT and left + width > WIDTH:
            left, line = float(_LEFT), line + 1
        top = HEIGHT + 5 + line * _LINE
        parts.append(_key(style, left, top))
        parts.append(f'<text x="{left + 15:.1f}" y="{top + 4}">{_named(name)}</text>')
        left += width
    return parts, (line + 1) * _LINE + 2


def _key(style: str, left: float, top: float) -> str:
    if style.startswith("band"):
        return f'<rect class="{plain(style)}" x="{left:.1f}" y="{top - 4}" width="11" height="9"/>'
    ends = f'x1="{left:.1f}" x2="{left + 11:.1f}" y1="{top}" y2="{top}"'
    return f'<line class="{plain(style)}" {ends}/>'


# Shares under each other.


def _intervals(chart: Intervals) -> _Drawing:
    """A line of text over each share, so that long names have room."""
    x = Scale(0.0, 100.0, 4, WIDTH - 8)
    bottom = len(chart.rows) * _ROW + 4
    parts = []
    for tick in (0, 25, 50, 75, 100):
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="2" y2="{bottom}"/>')
        anchor = {0: "start", 100: "end"}.get(tick, "mid")
        parts.append(f'<text x="{x(tick)}" y="{bottom + 11}" class="{anchor}">{tick} %</text>')
    for index, row in enumerate(chart.rows):
        parts += _interval(row, x, index * _ROW + 12)
    description = " ".join(f"{row.full_name}: {row}." for row in chart.rows)
    return _Drawing(parts, bottom + 15, description)


def _interval(row: Measured, x: Scale, top: float) -> Iterator[str]:
    style, name = f"c{row.colour}", row.full_name
    yield f'<text x="{x(0)}" y="{top}">{_named(name)}</text>'
    yield f'<text x="{x(100)}" y="{top}" class="end strong">{row.value:.1f} {row.bounds}</text>'
    if row.interval:
        low, high = (x(min(max(edge, 0.0), 100.0)) for edge in row.interval)
        yield f'<line class="range {style}" x1="{low}" x2="{high}" y1="{top + 7}" y2="{top + 7}"/>'
    yield f'<circle class="dot {style}" cx="{x(row.value)}" cy="{top + 7}" r="3"/>'


# In words, and small change.


def _described(series: Series, chart: Chart) -> str:
    """A line in words, for those who do not see it."""
    known = [(x, y) for x, y in series.points if math.isfinite(y)]
    if not known:
        return f"{series.name}: nothing."
    if not series.joined or chart.bars:
        x, y = max(known, key=lambda point: point[1])
        return f"{series.name}: {len(known)} values, the highest {y:.3g} at {x:g}."
    (x0, y0), (x1, y1) = known[0], known[-1]
    low, high = min(y for _, y in known), max(y for _, y in known)
    return f"{series.name}: {y0:.3g} at {x0:g}, {y1:.3g} at {x1:g}, from {low:.3g} to {high:.3g}."


def _short(name: str) -> str:
    """Without its middle, where it is too long to be drawn."""
    return name if len(name) <= _LONGEST else f"{name[:12]}…{name[13 - _LONGEST :]}"


def _named(name: str) -> str:
    short = _short(name)
    return plain(short) + (Markup("<title>{}</title>").format(plain(name)) if short != name else "")


def _style(series: Series) -> str:
    """Colours begin again after the last, dotted."""
    again = " again" if series.colour >= COLOURS else ""
    return f"c{series.colour % COLOURS}{again}{' dashed' if series.dashed else ''}"


def _unbroken(points: Sequence[Point]) -> list[list[Point]]:
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


def _ticks(low: float, high: float) -> list[float]:
    """Five or so round numbers that span low to high."""
    if high == low:
        high = low + 1
    raw = (high - low) / 4
    unit: float = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first, last = math.floor(low / step), math.ceil(round(high / step, 9))
    return [round(step * index, 12) for index in range(first, last + 1)]
