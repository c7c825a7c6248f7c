"""The benchmarks of a training run, for its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rlsc.report.benchmarks import HEADER, NOTES, Result, marked, score_cells
from rlsc.report.markdown_eval import comparison_text, controls, distrust
from rlsc.report.text import markdown_table


def training_benchmarks(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    """A training run's benchmarks: before, after, what flipped, and what to distrust."""
    if not benchmarks:
        return
    yield "## Benchmarks"
    rows = [
        (marked(name, one[key]), str(one["before"]["n"]), when, *score_cells(one[key])[1:])
        for name, one in benchmarks.items()
        for when, key in (("base", "before"), ("tuned", "after"))
    ]
    yield markdown_table(("benchmark", "n", "model", *HEADER[2:]), rows)
    yield NOTES
    yield from distrust({name: one["after"] for name, one in benchmarks.items()}, "###")
    for side, key in (("base", "before"), ("tuned", "after")):
        yield from controls({f"{name}, {side}": one[key] for name, one in benchmarks.items()})
    for name, one in benchmarks.items():
        yield from comparison_text(name, one["difference"])
