"""The nouns of a chart: what is drawn, not how. `svg.py` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlsc.types import Estimate, Interval

Point = tuple[float, float]
COLOURS, INK = 8, 8
"""Of the palette; and the colour after it, of what all are measured against."""


@dataclass(frozen=True)
class Series:
    """A line with its name; points whose value is not a number leave a gap."""

    name: str
    points: Sequence[Point]
    bounds: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): error bars; where `shaded`, the edge of a band around the line."""
    colour: int = 0
    """Its place in the palette."""
    joined: bool = True
    dashed: bool = False
    shaded: bool = False


@dataclass(frozen=True)
class Band:
    """A coloured stretch of the x axis, such as the guard's state at a step."""

    start: float
    end: float
    kind: str


@dataclass(frozen=True)
class Chart:
    """Lines, or with `bars` a histogram, over numbered axes."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    bands: Sequence[Band] = ()
    marks: Sequence[tuple[float, str]] = ()
    """(x, what is there): vertical lines."""
    level: tuple[float, str] | None = None
    """(y, what is there): a horizontal line, such as the competitor's score."""
    bars: bool = False
    unit_square: bool = False
    """Both axes from 0 to 1, with their diagonal."""


@dataclass(frozen=True)
class Measured:
    """A share in % with its 95 % interval, which is None where there is none to state.

    `Measured("tuned", 61.5, (52.3, 69.9))` is printed `61.5 % [52.3, 69.9]`.
    """

    name: str
    value: float
    interval: Interval | None = None
    group: str = ""
    """What it was measured on, where several things were."""
    colour: int = 0
    """Its place in the palette; `INK`: that of the text."""

    @classmethod
    def of(cls, name: str, figure: Estimate, colour: int, group: str = "") -> Measured:
        """Of a figure in shares; an interval that leaves 0 to 100 % (Student's) is cut there."""
        bounds = figure.interval
        interval = (100 * max(bounds[0], 0.0), 100 * min(bounds[1], 1.0)) if bounds else None
        return cls(name, 100 * figure.value, interval, group, colour)

    @property
    def full_name(self) -> str:
        return f"{self.group} · {self.name}" if self.group else self.name

    @property
    def bounds(self) -> str:
        return f"[{self.interval[0]:.1f}, {self.interval[1]:.1f}]" if self.interval else ""

    def __str__(self) -> str:
        return f"{self.value:.1f} % {self.bounds}".rstrip()


@dataclass(frozen=True)
class Intervals:
    """Shares under each other on one axis from 0 to 100 %: a dot with its interval each."""

    title: str
    rows: Sequence[Measured]
