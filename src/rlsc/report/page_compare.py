"""The pages of several runs: a comparison of objectives, and any folders side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rlsc.report.charts import Chart, Series
from rlsc.report.comparison import HEADER, caption_text, table_cells
from rlsc.report.curves import CURVES, number
from rlsc.report.page import Page, Section, charts, items, paragraph, table
from rlsc.report.page_eval import eval_page
from rlsc.report.page_train import train_page
from rlsc.runlog import read_jsonl

_QUALITY = (
    ("greedy", "Greedy accuracy"),
    ("pass@1", "pass@1, T = 1"),
    ("mean_length", "Length, greedy"),
)


def compare_page(folder: Path) -> Page:
    """From comparison.json."""
    content = json.loads((folder / "comparison.json").read_text("utf-8"))
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
    ]
    names = len(content["methods"])
    headline = (
        f"{names} objectives on {base['questions']}, seeds {', '.join(map(str, content['seeds']))}."
    )
    facts = [("model", str(base["model"])), ("n", str(base["before"]["greedy"]["n"]))]
    return Page("Objectives compared", headline, facts, sections)


def _by(content: Mapping[str, Any], axis: str, name: str, title: str) -> Chart:
    """Each objective's mean over its seeds, step by step."""
    scale = 1.0 if name == "mean_length" else 100.0
    series = []
    for row in content["methods"]:
        curves = [run["curve"] for run in row["runs"] if "curve" in run]
        points = [
            (fmean(p[axis] for p in parts), scale * fmean(p[name] for p in parts))
            for parts in zip(*curves, strict=False)
        ]
        if points:
            series.append(Series(row["label"], points))
    label = "updates made" if axis == "step" else "seconds"
    return Chart(title, label, "tokens" if scale == 1.0 else "%", series)


def folders_page(folders: Sequence[Path]) -> Page:
    """Runs of any kind side by side: a line each, and the curves of those that trained."""
    pages = [(folder, single_page(folder)) for folder in folders]
    rows = [
        (str(folder), page.title, page.headline, ", ".join(f"{a} {b}" for a, b in page.facts))
        for folder, page in pages
    ]
    metrics = {str(folder): read_jsonl(folder / "metrics.jsonl") for folder in folders}
    found = []
    for title, unit, names in CURVES:
        key = names[0][0]
        series = [
            Series(
                name,
                [(row["step"], number(row[key])) for row in steps if key in row],
            )
            for name, steps in metrics.items()
            if any(row.get(key) is not None for row in steps)
        ]
        if series:
            found.append(Chart(f"{title}: {names[0][1]}", "updates made", unit, series))
    sections = [
        Section("Runs", [table(("folder", "what", "result", "how"), rows, words=True)]),
        *([Section("By step", [charts(found)])] if found else []),
    ]
    return Page("Runs side by side", f"{len(folders)} runs.", [], sections)


def single_page(folder: Path) -> Page:
    """Of whatever run the folder holds."""
    if (folder / "comparison.json").exists():
        return compare_page(folder)
    if (folder / "settings.json").exists():
        return eval_page(folder)
    return train_page(folder)
