"""report.md of an evaluation, and what of it a training run's has too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rlsc.records.files import write_text
from rlsc.records.folder import CONFIG, ENVIRONMENT, RESULTS
from rlsc.report.benchmarks import (
    HEADER,
    NOTES,
    at_k_table,
    difference_text,
    flipped_lines,
    marked,
    percent,
    score_rows,
    setting_name,
)
from rlsc.report.calibration import CONFIDENCE, calibration_table
from rlsc.report.distrust import distrust_lines
from rlsc.report.eval_plot import plot_benchmarks
from rlsc.report.lengths import length_lines
from rlsc.report.sides import NOTE, comparison_table
from rlsc.report.text import bullets, markdown_code_rows, markdown_table

Result = Mapping[str, Any]


def write_eval_report(folder: Path) -> None:
    """Write report.md and plot.png of an evaluation from its folder."""
    results = json.loads((folder / RESULTS).read_text("utf-8"))
    config = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
    environment = json.loads((folder / ENVIRONMENT).read_text("utf-8"))
    benchmarks = results["benchmarks"]
    header, sides = comparison_table(results)
    plot_benchmarks(benchmarks, folder / "plot.png")
    settings = " ".join(", ".join(f"{key} {value}" for key, value in config.items()).split())
    parts = [
        "# Evaluation",
        f"Model: {results['model']}",
        markdown_table(HEADER, score_rows(benchmarks)),
        NOTES,
        *([markdown_table(header, sides), NOTE] if sides else []),
        *distrust(benchmarks),
        "![accuracy and calibration](plot.png)",
        *_at_k(benchmarks),
        *_calibration(benchmarks),
        *controls(benchmarks),
        *_comparison(results),
        "## How it was made",
        markdown_table(("", ""), [("settings", settings), *markdown_code_rows(environment)]),
        markdown_table(("benchmark", "source"), [(n, o["source"]) for n, o in benchmarks.items()]),
    ]
    write_text(folder / "report.md", "\n\n".join(parts) + "\n")


def distrust(benchmarks: Mapping[str, Result], heading: str = "##") -> Iterator[str]:
    """What a sceptic asks, for Markdown."""
    lines = distrust_lines(benchmarks)
    if lines:
        yield f"{heading} What to distrust"
        yield bullets(lines)


def _at_k(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    header, rows = at_k_table(benchmarks)
    if rows:
        yield "## By number of samples"
        yield markdown_table(header, rows)


def _calibration(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    found = {marked(name, one): one["calibration"] for name, one in benchmarks.items()}
    yield "## Does confidence predict correctness?"
    yield CONFIDENCE
    yield markdown_table(*calibration_table(found))
    rows = [(marked(n, one), f"{100 * one['repetition']:.0f} %") for n, one in benchmarks.items()]
    yield markdown_table(("benchmark", "repeated 4-grams"), rows)


def controls(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    searched = {name: one for name, one in benchmarks.items() if "controls" in one}
    if not searched:
        return
    yield "## Controls: the model at its best"
    yield (
        "Each setting on the same questions; the best (bold) is the line that a tuned model must "
        "beat, given the same choice. It is chosen on these questions, so it flatters a little."
    )
    for name, one in searched.items():
        rows = []
        for found in one["controls"]:
            k = max(found["majority@k"], key=int)
            best = found["setting"] == one["best"]
            cells = (
                setting_name(found),
                percent(found["pass@1"], found["interval"]),
                f"k = {k}: " + percent(**found["majority@k"][k]) if int(k) > 1 else "–",
                f"{found['mean_length']:.0f}",
                f"{100 * found['truncation_rate']:.0f} %",
            )
            rows.append(tuple(f"**{cell}**" if best else cell for cell in cells))
        yield f"### {marked(name, one)}, n = {one['n']}"
        header = ("setting", "pass@1, %", "majority at equal compute, %", "tokens", "cut off")
        yield markdown_table(header, rows)


def _comparison(results: Result) -> Iterator[str]:
    if "comparison" not in results:
        return
    base = results["compared_to"]
    yield f"## Against {base['folder']}"
    yield f"Baseline: {base['model']}"
    if base["other_settings"]:
        yield f"**Asked under other settings**: {', '.join(base['other_settings'])}."
    for name, found in results["comparison"].items():
        yield from comparison_text(name, found)


def comparison_text(name: str, found: Result) -> Iterator[str]:
    """Differences, the questions that flipped, and lengths, for Markdown."""
    yield f"### {name}"
    lines = [f"{found['before']} → {found['after']}: {difference_text(found)}"]
    if "best" in found:
        best = found["best"]
        lines.append(f"best of each, {best['before']} → {best['after']}: {difference_text(best)}")
    yield bullets([*lines, *flipped_lines(found), *length_lines(found.get("lengths", {}))])
