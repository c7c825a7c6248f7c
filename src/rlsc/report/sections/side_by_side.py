"""One page of several runs, of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rlsc.records import read_jsonl
from rlsc.report.charts import COLOURS, Chart
from rlsc.report.page import Block, Curves, Heading, Headline, Page, Table
from rlsc.report.sections.steps import CURVES, FIRST, is_known, signal


def side_by_side(pages: Sequence[tuple[Path, Page]]) -> Page:
    """A line each with its number, and the curves of those that trained."""
    rows, numbers = [], []
    for colour, (folder, page) in enumerate(pages):
        headline = page.headline
        facts = ", ".join(f"{name} {value}" for name, value in headline.facts)
        shown = "; ".join(f"{number.name} {number}" for number in headline.numbers[:2])
        rows.append((str(folder), page.title, headline.verdict, shown, facts))
        for number in headline.numbers[:1]:
            numbers.append(replace(number, name=str(folder), group="", colour=colour % COLOURS))
    charts = _charts([folder for folder, _ in pages])
    blocks: list[Block] = [
        Headline(f"{len(pages)} runs.", numbers),
        Curves(charts[:FIRST]),
        Heading("Runs"),
        Table(("folder", "what", "verdict", "result", "how"), rows, words=True),
    ]
    if charts[FIRST:]:
        blocks += [Heading("By step"), Curves(charts[FIRST:])]
    return Page("Runs side by side", blocks)


def _charts(folders: Sequence[Path]) -> list[Chart]:
    """Each signal with a line a run."""
    metrics = {str(folder): read_jsonl(folder / "metrics.jsonl") for folder in folders}
    charts = []
    for title, unit, names in CURVES:
        for key, label in names:
            series = [
                signal(rows, key, folder, colour)
                for colour, (folder, rows) in enumerate(metrics.items())
                if is_known(rows, key)
            ]
            if series:
                heading = title if len(names) == 1 else f"{title}: {label}"
                charts.append(Chart(heading, "updates made", unit, series))
    return charts
