"""The pages of several runs: a comparison of objectives, and any folders side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from rlsc.records.files import read_json, read_yaml
from rlsc.records.folder import CONFIG, ENVIRONMENT
from rlsc.records.jsonl import read_jsonl
from rlsc.report.charts import Chart, Series
from rlsc.report.comparison import HEADER, caption_text, runs_made, table_cells
from rlsc.report.comparison_plot import untrained_quality
from rlsc.report.curves import CURVES, number
from rlsc.report.page import Page, Section, charts, folded, items, paragraph, table
from rlsc.report.page_eval import eval_page
from rlsc.report.page_train import REFRESH, train_page
from rlsc.report.text import code_rows

_QUALITY = (
    ("greedy", "Greedy accuracy"),
    ("pass@1", "pass@1, T = 1"),
    ("mean_length", "Length, greedy"),
)


def compare_page(folder: Path) -> Page:
    """From comparison.json."""
    content = read_json(folder / "comparison.json")
    base = content["base"]
    failed = [
        f"{row['label']}, seed {run['seed']}: {run['failed']}"
        for row in content["methods"]
        for run in row["runs"]
        if "failed" in run
    ]
    sections = [
        Section(
            "Objectives",
            [table(HEADER, table_cells(content)), paragraph(caption_text(content)), items(failed)],
        ),
        Section("By step", [charts([_by(content, "step", *one) for one in _QUALITY])]),
        Section(
            "By seconds of training", [charts([_by(content, "seconds", *one) for one in _QUALITY])]
        ),
        Section("How it was made", _made(folder, content)),
    ]
    done, wrong, of = runs_made(content)
    names = len(content["methods"])
    headline = (
        f"{names} objectives on {base['questions']}, seeds {', '.join(map(str, content['seeds']))}"
    )
    headline += f": {done} of {of} runs done." if done < of else "."
    facts = [
        ("model", str(base["model"])),
        ("questions to judge by", str(base["before"]["greedy"]["n"])),
        ("runs", f"{done} of {of} done" + (f", {wrong} failed" if wrong else "")),
    ]
    refresh = REFRESH if done + wrong < of else 0
    return Page("Objectives compared", headline, facts, sections, refresh=refresh)


def _made(folder: Path, content: Mapping[str, Any]) -> list[Markup]:
    """Settings by method, and command, versions, device of the first run that is there."""
    rows = [
        (row["label"], ", ".join(f"{key} {value}" for key, value in row["settings"].items()) or "–")
        for row in content["methods"]
    ]
    blocks = [table(("objective", "its own settings"), rows, words=True)]
    for row in content["methods"]:
        for run in row["runs"]:
            place = folder / row["label"] / f"seed-{run['seed']}"
            if "curve" in run and (place / ENVIRONMENT).is_file():
                config = read_yaml(place / CONFIG)
                shared = sorted((k, str(v)) for k, v in config.items() if v is not None)
                name = f"Every setting of {row['label']}, seed {run['seed']}"
                blocks.append(
                    table(("", ""), code_rows(read_json(place / ENVIRONMENT)), words=True)
                )
                blocks.append(folded(name, table(("setting", "value"), shared, words=True)))
                return blocks
    return blocks


def _by(content: Mapping[str, Any], axis: str, name: str, title: str) -> Chart:
    """Each objective's mean over its seeds, step by step."""
    scale = 1.0 if name == "mean_length" else 100.0
    series = []
    for colour, row in enumerate(content["methods"]):
        curves = [{p["step"]: p for p in run["curve"]} for run in row["runs"] if "curve" in run]
        steps = [step for step in curves[0] if all(step in c for c in curves)] if curves else []
        points, bounds = [], []
        for step in steps:
            at = fmean(curve[step][axis] for curve in curves)
            values = [scale * curve[step][name] for curve in curves]
            points.append((at, fmean(values)))
            if len(values) > 1:
                bounds.append((at, min(values), max(values)))
        if points:
            series.append(Series(row["label"], points, bounds, colour))
    if name != "mean_length" and series:
        best = 100 * untrained_quality(max(content["base"]["temperatures"], key=untrained_quality))
        ends = (0.0, max(x for one in series for x, _ in one.points))
        line = [(x, best) for x in ends]
        series.append(
            Series("untrained at its best temperature", line, colour=len(content["methods"]))
        )
    label = "updates made" if axis == "step" else "seconds"
    return Chart(title, label, "tokens" if scale == 1.0 else "%", series)


def folders_page(pages: Sequence[tuple[Path, Page]]) -> Page:
    """Runs of any kind side by side: a line each, and the curves of those that trained."""
    rows = [
        (str(folder), page.title, page.headline, ", ".join(f"{a} {b}" for a, b in page.facts))
        for folder, page in pages
    ]
    metrics = {str(folder): read_jsonl(folder / "metrics.jsonl") for folder, _ in pages}
    found = []
    for title, unit, names in CURVES:
        for key, label in names:
            series = [
                Series(
                    name,
                    [(row["step"], number(row[key])) for row in steps if key in row],
                    colour=colour,
                )
                for colour, (name, steps) in enumerate(metrics.items())
                if any(row.get(key) is not None for row in steps)
            ]
            if series:
                heading = title if len(names) == 1 else f"{title}: {label}"
                found.append(Chart(heading, "updates made", unit, series))
    sections = [
        Section("Runs", [table(("folder", "what", "result", "how"), rows, words=True)]),
        *([Section("By step", [charts(found)])] if found else []),
    ]
    return Page("Runs side by side", f"{len(pages)} runs.", [], sections)


def single_page(folder: Path) -> Page:
    """Of whatever run the folder holds."""
    if (folder / "comparison.json").exists():
        return compare_page(folder)
    if (folder / "settings.json").exists():
        return eval_page(folder)
    return train_page(folder)
