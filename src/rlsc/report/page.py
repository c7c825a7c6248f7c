"""What a report says, whoever prints it: a page is a title and a list of typed blocks.

`sections/` builds pages from a run's records; `html/`, `markdown.py` and `terminal.py` print them.
A block holds text and numbers, never markup: each renderer escapes for itself.

    Page("rlsc on arithmetic", [
        Headline("Better than the untrained model at its best.", [Measured("tuned", 61.5)]),
        Heading("Before and after"),
        Table(("", "base", "tuned"), [("greedy accuracy", "30.8 %", "61.5 %")]),
    ])
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from rlsc.report.charts import Chart, Intervals, Measured


class Code(str):
    """A cell that is code, such as a command."""


@dataclass(frozen=True)
class Headline:
    """What came of it: the first thing a reader sees."""

    verdict: str
    numbers: Sequence[Measured] = ()
    """The number first, its competitors after it."""
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """The first column is names; the others are figures, or `words`."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False
    bold: Set[int] = frozenset()
    """Rows that stand out."""
    folded: str = ""
    """Where not empty: what to click at to see it."""
    brief: Sequence[int] = ()
    """The columns that a terminal has room for; none: all."""


@dataclass(frozen=True)
class Curves:
    charts: Sequence[Chart | Intervals]


@dataclass(frozen=True)
class Side:
    """A model's answer to a question; of several samples the first."""

    text: str
    cut: bool
    """Whether `text` is not all of it."""
    answer: str | None
    verdict: str
    tokens: int
    finish: str
    samples: int = 1
    right: int = 0
    decided: bool | None = None
    """Of several samples: whether the question counts as right, by their majority."""
    spans: Sequence[int] | None = None
    """Token by token its number of characters, and its probability in hundredths."""


@dataclass(frozen=True)
class Case:
    """A question with the answers before and after; one of the two may be missing."""

    benchmark: str
    id: str
    prompt: str
    base: Side | None = None
    tuned: Side | None = None
    tuned_prompt: str | None = None
    """Where the tuned model was asked otherwise."""


@dataclass(frozen=True)
class Cases:
    """Every evaluated question: a browser of them where one can be had, else the first few."""

    cases: Sequence[Case]


Block = Headline | Heading | Paragraph | Bullets | Table | Curves | Cases


@dataclass(frozen=True)
class Page:
    """Blocks before the first `Heading` are the first screen."""

    title: str
    blocks: Sequence[Block]
    refresh: int = 0
    """Seconds after which a browser reads the file again; 0: never."""

    @property
    def headline(self) -> Headline:
        return next(block for block in self.blocks if isinstance(block, Headline))
