"""The page of a training run, finished or under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rlsc.evaluation.samples import read_rows
from rlsc.records.files import read_json, read_yaml
from rlsc.records.jsonl import read_jsonl
from rlsc.report.benchmarks import difference_text, flipped_lines
from rlsc.report.calibration import CONFIDENCE, calibration_chart, calibration_table
from rlsc.report.cases import Case, paired, run_cases
from rlsc.report.curves import step_charts
from rlsc.report.distrust import distrust_lines
from rlsc.report.guard import HEADER as GUARD
from rlsc.report.guard import guard_text, verdict_rows
from rlsc.report.lengths import length_charts, length_lines
from rlsc.report.page import Page, Section, charts, folded, items, paragraph, table
from rlsc.report.sides import NOTE, run_table
from rlsc.report.table import HEADER, caption, table_rows
from rlsc.report.text import code_rows

Row = Mapping[str, Any]
REFRESH = 10


def train_page(folder: Path) -> Page:
    """From results.json where the run is finished, else from what there is of it."""
    config = read_yaml(folder / "config.yaml")
    file = folder / "results.json"
    results = read_json(file) if file.exists() else None
    metrics = read_jsonl(folder / "metrics.jsonl")
    title = f"{config.get('objective', 'rlsc')} on {config['questions']}"
    if results is None:
        steps = f"{len(metrics)} of {config['max_steps']} steps so far"
        drawn = charts(step_charts(metrics, _guard_rows(folder)))
        parts = [Section("By step", [drawn or paragraph("No step is finished yet.")])]
        return Page(title, f"Under way: {steps}.", [], parts, refresh=REFRESH)
    sections = [
        Section("Before and after", list(_evaluation(results))),
        *_scores(results, config),
        *_guard(results),
        Section("By step", [charts(step_charts(metrics, _guard_rows(folder, results), results))]),
        *_answers(folder, results),
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
    bounds = delta["interval"]
    shown = f" [{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]" if bounds else ""
    text = (
        f"Greedy accuracy {greedy[0]:.1f} → {greedy[1]:.1f} %, {100 * delta['difference']:+.1f} "
        f"points{shown} on {delta['n']} questions"
    )
    best = (results.get("changes") or {}).get("untrained_best")
    if best is None:
        return f"{text}."
    shown = f"{100 * best['accuracy']:.1f} % ({best['name']})"
    others = "" if results.get("baselines") else "; other prompts were not tried (--eval_baselines)"
    return f"{text}. The untrained model at its best here: {shown}{others}."


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


def _evaluation(results: Mapping[str, Any]) -> Iterator[Markup]:
    rows = table_rows(results)
    if not rows:
        yield paragraph("Not evaluated.")
        return
    transductive = "transductive" in results["evaluated_on"]
    yield paragraph(caption(results) + (". Read it as transductive." if transductive else ""))
    yield table(HEADER, rows)
    flips = (results.get("changes") or {}).get("greedy", {}).get("flips")
    if flips:
        yield paragraph(f"Greedy: {difference_text(flips)}.")
        yield items(flipped_lines(flips))


def _scores(results: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Section]:
    header, rows = run_table(results, config)
    if not rows:
        return
    blocks = [table(header, rows), paragraph(NOTE)]
    found = results.get("benchmarks", {})
    for name, one in found.items():
        blocks.append(paragraph(f"{name}: {difference_text(one['difference'])}."))
        blocks.append(items(flipped_lines(one["difference"])))
    yield Section("Base, base at its best, tuned", blocks)
    doubts = distrust_lines({name: one["after"] for name, one in found.items()})
    if doubts:
        yield Section("What to distrust", [items(doubts)])


def _guard(results: Mapping[str, Any]) -> Iterator[Section]:
    guard = results.get("guard")
    if not guard or not guard["verdicts"]:
        return
    rows = table(GUARD, verdict_rows(guard), words=True)
    yield Section("The guard", [paragraph(guard_text(results)), rows])


def _guard_rows(folder: Path, results: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """By the run's records, or by its results where those are gone."""
    rows = read_jsonl(folder / "guard.jsonl")
    if not rows and results and results.get("guard"):
        verdicts = results["guard"]["verdicts"].items()
        rows = [{"step": int(step), "verdict": one["verdict"]} for step, one in verdicts]
    return rows


def _answers(folder: Path, results: Mapping[str, Any]) -> Iterator[Section]:
    """Length and calibration: the figures of results.json, drawn from the evaluation's samples."""
    changes = results.get("changes") or {}
    if not changes:
        return
    blocks = []
    for group, title in (("greedy", "Greedy"), ("sampled", "Samples at T = 1")):
        before, after = (_rows_of(folder, name, group) for name in ("before", "after"))
        blocks += [paragraph(f"{title}."), items(length_lines(changes[group]["lengths"]))]
        if before and after:
            blocks.append(charts(length_charts(before, after, title)))
    yield Section("Length", blocks)
    found = changes["sampled"]["calibration"]
    if found:
        sides = {"base": found["before"], "tuned": found["after"]}
        text = f"Samples at T = 1. {CONFIDENCE}"
        drawn = charts([calibration_chart("Reliability", sides)])
        cells = table(*calibration_table(sides))
        yield Section("Calibration", [paragraph(text), cells, drawn])


def _made(
    folder: Path, results: Mapping[str, Any], config: Mapping[str, Any], metrics: Sequence[Row]
) -> Iterator[Markup]:
    environment = read_json(folder / "environment.json")
    rows = list(code_rows(environment))
    if metrics and all("sampled_tokens" in row for row in metrics):
        tokens = sum(row["sampled_tokens"] for row in metrics)
        rows.append(("tokens sampled in training", f"{tokens:,.0f}"))
    sampling = sum(row.get("sample_seconds") or 0.0 for row in metrics)
    whole = sum(row.get("seconds") or 0.0 for row in metrics)
    if sampling:
        rows.append(
            ("time of the steps", f"sampling {sampling:.0f} s, update {whole - sampling:.0f} s")
        )
    rows += [(f"time: {name}", f"{value:.0f} s") for name, value in results["seconds"].items()]
    yield table(("", ""), rows, words=True)
    settings = sorted((key, str(value)) for key, value in config.items() if value is not None)
    yield folded("Every setting", table(("setting", "value"), settings, words=True))


def _cases(folder: Path, results: Mapping[str, Any]) -> list[Case]:
    found = list(run_cases(folder))
    root = folder / "eval" / "benchmarks"
    for name, one in results.get("benchmarks", {}).items():
        sides = [
            read_rows(root / f"step-{step}" / name / f"{one[key]['setting']}.jsonl")
            for step, key in ((0, "before"), (results["steps"], "after"))
        ]
        found += paired(name, *sides)
    return found


def _rows_of(folder: Path, name: str, group: str) -> list[dict[str, Any]]:
    return [row for row in read_jsonl(folder / "eval" / f"{name}.jsonl") if row["pass"] == group]
