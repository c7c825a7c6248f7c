"""The page of an evaluation by `rlsc eval`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rlsc.evaluation.samples import read_rows
from rlsc.records.files import read_json, read_yaml
from rlsc.report.benchmarks import (
    HEADER,
    NOTES,
    at_k_table,
    difference_text,
    flipped_lines,
    marked,
    score_cells,
)
from rlsc.report.calibration import CONFIDENCE, calibration_chart, calibration_table
from rlsc.report.cases import Case, paired
from rlsc.report.distrust import distrust_lines
from rlsc.report.lengths import length_charts, length_lines
from rlsc.report.page import Page, Section, charts, items, paragraph, table
from rlsc.report.sides import NOTE, comparison_table
from rlsc.report.text import code_rows

Result = Mapping[str, Any]


def eval_page(folder: Path) -> Page:
    results = read_json(folder / "results.json")
    config = read_yaml(folder / "config.yaml")
    environment = read_json(folder / "environment.json")
    benchmarks = results["benchmarks"]
    cells = [(marked(name, one), *score_cells(one)) for name, one in benchmarks.items()]
    sections = [
        *_comparison(results),
        Section("Scores", [table(HEADER, cells), paragraph(NOTES)]),
        *_distrust(benchmarks),
        *_controls(benchmarks),
        *_at_k(benchmarks),
        Section("Calibration", list(_calibration(results))),
        *_lengths(folder, results),
        Section(
            "How it was made",
            [
                table(
                    ("", ""),
                    [
                        *code_rows(environment),
                        *((key, str(value)) for key, value in config.items() if value is not None),
                        *((name, one["source"]) for name, one in benchmarks.items()),
                    ],
                    words=True,
                )
            ],
        ),
    ]
    n = sum(one["n"] for one in benchmarks.values())
    facts = [("model", str(results["model"])), ("questions", str(n))]
    return Page("Evaluation", _headline(results), facts, sections, list(_cases(folder, results)))


def _headline(results: Result) -> str:
    if "comparison" in results:
        parts = [
            f"{name} {100 * one['difference']:+.1f} points"
            for name, one in results["comparison"].items()
        ]
        return f"Against {results['compared_to']['model']}: {', '.join(parts)}."
    shares = [f"{name} {100 * one['pass@1']:.1f} %" for name, one in results["benchmarks"].items()]
    return f"{', '.join(shares)}."


def _distrust(benchmarks: Mapping[str, Result]) -> Iterator[Section]:
    lines = distrust_lines(benchmarks)
    if lines:
        yield Section("What to distrust", [items(lines)])


def _comparison(results: Result) -> Iterator[Section]:
    if "comparison" not in results:
        return
    base = results["compared_to"]
    other = base["other_settings"]
    blocks = [paragraph(f"Base: {base['model']}, evaluated in {base['folder']}.")]
    if other:
        blocks.append(paragraph(f"It was asked under other settings: {', '.join(other)}."))
    header, rows = comparison_table(results)
    if rows:
        blocks += [table(header, rows), paragraph(NOTE)]
    for name, one in results["comparison"].items():
        blocks.append(paragraph(f"{name}: {difference_text(one)}."))
        if "best" in one:
            blocks.append(paragraph(f"{name}, best of each: {difference_text(one['best'])}."))
        blocks.append(items(flipped_lines(one)))
    yield Section("Base, base at its best, tuned", blocks)


def _controls(benchmarks: Mapping[str, Result]) -> Iterator[Section]:
    rows = []
    for name, one in benchmarks.items():
        for found in one.get("controls", ()):
            best = " ← best" if found["setting"] == one["best"] else ""
            rows.append((f"{name}{best}", *score_cells(found | {"n": one["n"]})))
    if rows:
        yield Section("This model at its best", [table(HEADER, rows)])


def _at_k(benchmarks: Mapping[str, Result]) -> Iterator[Section]:
    header, rows = at_k_table(benchmarks)
    if rows:
        yield Section("By number of samples", [table(header, rows)])


def _calibration(results: Result) -> Iterator[Markup]:
    rows: dict[str, Any] = {}
    drawn = []
    for name, one in results["benchmarks"].items():
        base = results.get("comparison", {}).get(name, {}).get("base")
        sides = {"base": base["calibration"]} if base else {}
        sides["tuned" if base else "model"] = one["calibration"]
        rows |= {f"{marked(name, one)}, {side}": found for side, found in sides.items()}
        drawn.append(calibration_chart(marked(name, one), sides))
    yield paragraph(CONFIDENCE)
    yield table(*calibration_table(rows))
    yield charts(drawn)


def _lengths(folder: Path, results: Result) -> Iterator[Section]:
    blocks = []
    gone = [name for name in results.get("comparison", ()) if not _base_rows(results, name)]
    if gone:
        where = results["compared_to"]["folder"]
        blocks.append(paragraph(f"The baseline's samples are no longer in {where}: none is shown."))
    for name, one in results["benchmarks"].items():
        rows, base = _rows(folder, name, one["setting"]), _base_rows(results, name)
        lines = length_lines(results.get("comparison", {}).get(name, {}).get("lengths", {}))
        if lines:
            blocks += [paragraph(f"{name}:"), items(lines)]
        if rows:
            blocks.append(charts(length_charts(base, rows, name)))
    if blocks:
        yield Section("Length", blocks)


def _cases(folder: Path, results: Result) -> Iterator[Case]:
    for name, one in results["benchmarks"].items():
        rows, base = _rows(folder, name, one["setting"]), _base_rows(results, name)
        yield from paired(name, base, rows)


def _base_rows(results: Result, name: str) -> list[dict[str, Any]]:
    """The baseline's samples, where its folder is still there."""
    if "comparison" not in results or name not in results["comparison"]:
        return []
    return _rows(
        Path(results["compared_to"]["folder"]), name, results["comparison"][name]["before"]
    )


def _rows(folder: Path, name: str, setting: str) -> list[dict[str, Any]]:
    file = folder / "samples" / name / f"{setting}.jsonl"
    return read_rows(file) if file.exists() else []
