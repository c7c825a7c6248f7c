"""The page of a training run, finished or under way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from rlsc.report.benchmarks import HEADER as SCORES
from rlsc.report.benchmarks import difference_text, marked, score_cells
from rlsc.report.cases import Case, first_samples, paired, run_cases
from rlsc.report.charts import Chart
from rlsc.report.curves import calibration_series, step_charts
from rlsc.report.guard import guard_text
from rlsc.report.lengths import length_charts, length_test
from rlsc.report.page import Page, Section, charts, items, paragraph, table
from rlsc.report.table import HEADER, baseline_rows, caption, table_rows
from rlsc.report.text import code_rows
from rlsc.runlog import read_jsonl
from rlsc.samples import read_rows
from rlsc.statistics import mcnemar_exact
from rlsc.types import Verdict

Row = Mapping[str, Any]
REFRESH = 10


def train_page(folder: Path) -> Page:
    """From results.json where the run is finished, else from what there is of it."""
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    file = folder / "results.json"
    results = json.loads(file.read_text("utf-8")) if file.exists() else None
    metrics = read_jsonl(folder / "metrics.jsonl")
    title = f"{config.get('objective', 'rlsc')} on {config['questions']}"
    if results is None:
        steps = f"{len(metrics)} of {config['max_steps']} steps so far"
        parts = [Section("By step", [charts(step_charts(metrics, _guard_rows(folder)))])]
        return Page(title, f"Under way: {steps}.", [], parts, refresh=REFRESH)
    sections = [
        Section("Before and after", list(_evaluation(folder, results))),
        *_benchmarks(results),
        *_guard(results),
        Section("By step", [charts(step_charts(metrics, _guard_rows(folder), results))]),
        *_answers(folder),
        Section("How it was made", list(_made(folder, results, config, metrics))),
    ]
    return Page(
        title, _headline(results), _facts(results, config), sections, _cases(folder, results)
    )


def _headline(results: Mapping[str, Any]) -> str:
    if "before" not in results or not results["before"]["greedy"]["n"]:
        return f"{results['steps']} steps on {results['training_questions']} questions, no labels."
    greedy = [100 * results[when]["greedy"]["accuracy"] for when in ("before", "after")]
    delta = results["difference"]["greedy"]
    low, high = (100 * value for value in delta["interval"] or (math.nan, math.nan))
    best = max(
        (100 * one["greedy"]["accuracy"] for one in results.get("baselines", ())), default=None
    )
    text = (
        f"Greedy accuracy {greedy[0]:.1f} → {greedy[1]:.1f} %, {100 * delta['difference']:+.1f} "
        f"points [{low:+.1f}, {high:+.1f}] on {delta['n']} questions"
    )
    if best is None:
        return text + "."
    best = max(best, greedy[0])
    return f"{text}; the untrained model at its best of the settings tried: {best:.1f} %."


def _facts(results: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("model", str(results["model"])),
        ("steps", str(results["steps"])),
        ("questions", f"{results['training_questions']}, without labels"),
        ("completions a question", str(config.get("num_generations"))),
        ("time", f"{results['seconds']['total'] / 60:.1f} min"),
    ]
    guard = results.get("guard")
    if guard and guard["verdicts"]:
        last = list(guard["verdicts"].values())[-1]["verdict"]
        facts.append(("guard", f"{last}, step {guard['kept_step']} kept"))
    return facts


def _evaluation(folder: Path, results: Mapping[str, Any]) -> Iterator[Markup]:
    rows = table_rows(results)
    if not rows:
        yield paragraph("Not evaluated.")
        return
    transductive = "transductive" in results["evaluated_on"]
    yield paragraph(caption(results) + (". Read it as transductive." if transductive else ""))
    yield table(HEADER, rows)
    before, after = (_greedy(folder, name) for name in ("before", "after"))
    verdicts = [
        [row["verdict"] == Verdict.CORRECT.value for row in side if row["verdict"] is not None]
        for side in (before, after)
    ]
    if verdicts[0]:
        test = mcnemar_exact(*verdicts)
        yield paragraph(
            f"Greedy: {test.gained} questions gained and {test.lost} lost, McNemar's exact "
            f"p = {test.p:.2g}. Unparsed: {results['before']['greedy']['unparsed']} before, "
            f"{results['after']['greedy']['unparsed']} after; they count as not right."
        )
    baselines = baseline_rows(results)
    if baselines:
        yield paragraph("The untrained model in other settings, the line to beat:")
        yield table(("base", "accuracy", "mean length"), baselines)


def _benchmarks(results: Mapping[str, Any]) -> Iterator[Section]:
    found = results.get("benchmarks")
    if not found:
        return
    rows, lines = [], []
    for name, one in found.items():
        for side, key in (("base", "before"), ("tuned", "after")):
            rows.append((f"{marked(name, one[key])}, {side}", *score_cells(one[key])))
            for best in one[key].get("controls", ()):
                if best["setting"] == one[key]["best"]:
                    rows.append(
                        (f"{name}, {side} at its best", *score_cells(best | {"n": one[key]["n"]}))
                    )
        lines.append(f"{name}: {difference_text(one['difference'])}")
        if "best" in one["difference"]:
            lines.append(f"{name}, best of each: {difference_text(one['difference']['best'])}")
    yield Section("Benchmarks", [table(("benchmark", *SCORES[1:]), rows), items(lines)])


def _guard(results: Mapping[str, Any]) -> Iterator[Section]:
    guard = results.get("guard")
    if not guard or not guard["verdicts"]:
        return
    rows = [
        (step, one["verdict"], "; ".join(one["reasons"])) for step, one in guard["verdicts"].items()
    ]
    yield Section(
        "The guard",
        [paragraph(guard_text(results)), table(("step", "verdict", "why"), rows, words=True)],
    )


def _guard_rows(folder: Path) -> list[dict[str, Any]]:
    return read_jsonl(folder / "guard.jsonl")


def _answers(folder: Path) -> Iterator[Section]:
    """Length and calibration, from the evaluation's own samples."""
    before, after = (_sampled(folder, name) for name in ("before", "after"))
    if not before or not after:
        return
    greedy = [_greedy(folder, name) for name in ("before", "after")]
    yield Section(
        "Length",
        [
            paragraph(f"Greedy answers. {length_test(greedy[0], greedy[1])}."),
            charts(length_charts(greedy[0], greedy[1], "Greedy")),
            paragraph(f"Samples at T = 1. {length_test(before, after)}."),
            charts(length_charts(before, after, "Sampled")),
        ],
    )
    found = [calibration_series(side, rows) for side, rows in (("base", before), ("tuned", after))]
    if any(found):
        chart = Chart(
            "Reliability",
            "confidence",
            "share right",
            [one for one in found if one],
            unit_square=True,
        )
        text = (
            "Confidence is exp(log-prob a token), of samples at T = 1. AUROC: the chance that a "
            "right answer has more of it than a wrong one."
        )
        yield Section("Calibration", [paragraph(text), charts([chart])])


def _made(
    folder: Path, results: Mapping[str, Any], config: Mapping[str, Any], metrics: Sequence[Row]
) -> Iterator[Markup]:
    environment = json.loads((folder / "environment.json").read_text("utf-8"))
    size = int(config["per_device_train_batch_size"]) * int(config["num_generations"])
    tokens = sum(row["completion_length"] for row in metrics) * size
    rows = [*code_rows(environment), ("tokens sampled in training", f"{tokens:,.0f}")]
    sampling = sum(row.get("sample_seconds") or 0.0 for row in metrics)
    whole = sum(row.get("seconds") or 0.0 for row in metrics)
    if sampling:
        rows.append(
            ("time of the steps", f"sampling {sampling:.0f} s, update {whole - sampling:.0f} s")
        )
    rows += [(f"time: {name}", f"{value:.0f} s") for name, value in results["seconds"].items()]
    yield table(("", ""), rows, words=True)
    settings = sorted((key, str(value)) for key, value in config.items() if value is not None)
    yield Markup("<details><summary>Every setting</summary>{}</details>").format(
        table(("setting", "value"), settings, words=True)
    )


def _cases(folder: Path, results: Mapping[str, Any]) -> list[Case]:
    found = list(run_cases(folder))
    root = folder / "eval" / "benchmarks"
    for name, one in results.get("benchmarks", {}).items():
        sides = [
            first_samples(read_rows(root / f"step-{step}" / name / f"{one[key]['setting']}.jsonl"))
            for step, key in ((0, "before"), (results["steps"], "after"))
        ]
        found += paired(name, *sides)
    return found


def _greedy(folder: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in read_jsonl(folder / "eval" / f"{name}.jsonl") if row["pass"] == "greedy"]


def _sampled(folder: Path, name: str) -> list[dict[str, Any]]:
    return [
        row for row in read_jsonl(folder / "eval" / f"{name}.jsonl") if row["pass"] == "sampled"
    ]
