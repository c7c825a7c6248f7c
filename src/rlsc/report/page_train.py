"""The page of a training run, finished or under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rlsc.report.benchmarks import HEADER as SCORES
from rlsc.report.benchmarks import NOTES, difference_text, marked, score_cells
from rlsc.report.cases import Case, first_samples, paired, run_cases
from rlsc.report.charts import Chart
from rlsc.report.curves import CONFIDENCE, calibration_series, step_charts
from rlsc.report.distrust import distrust_lines
from rlsc.report.guard import HEADER as GUARD
from rlsc.report.guard import guard_text, verdict_rows
from rlsc.report.lengths import length_charts, length_test
from rlsc.report.page import Page, Section, charts, items, paragraph, table
from rlsc.report.table import HEADER, baseline_rows, caption, table_rows
from rlsc.report.text import code_rows
from rlsc.runfolder import read_json, read_yaml
from rlsc.runlog import read_jsonl
from rlsc.samples import read_rows
from rlsc.statistics import mcnemar_exact
from rlsc.types import Verdict

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
        Section("Before and after", list(_evaluation(folder, results))),
        *_benchmarks(results),
        *_guard(results),
        Section("By step", [charts(step_charts(metrics, _guard_rows(folder, results), results))]),
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
    bounds = delta["interval"]
    shown = f" [{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]" if bounds else ""
    text = (
        f"Greedy accuracy {greedy[0]:.1f} → {greedy[1]:.1f} %, {100 * delta['difference']:+.1f} "
        f"points{shown} on {delta['n']} questions"
    )
    name, best = untrained_best(results)
    others = "" if results.get("baselines") else "; other prompts were not tried (--eval_baselines)"
    return f"{text}. The untrained model at its best here: {best:.1f} % ({name}){others}."


def untrained_best(results: Mapping[str, Any]) -> tuple[str, float]:
    """The best accuracy of the untrained model in any setting that the run has, and which."""
    before = results["before"]
    found = {"greedy": before["greedy"]["accuracy"]}
    for group in ("sampled", "sampled_at_training_temperature"):
        at, samples = before[group]["temperature"], before[group]["samples"]
        found[f"pass@1 at T = {at:g}"] = before[group]["pass@1"]
        found[f"majority of {samples} at T = {at:g}"] = before[group]["majority"]
    for one in results.get("baselines", ()):
        found[f"{one['name']}, greedy"] = one["greedy"]["accuracy"]
    known = {name: 100 * value for name, value in found.items() if value is not None}
    name = max(known, key=lambda one: known[one])
    return name, known[name]


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
    sides = [
        {
            row["id"]: row["verdict"] == Verdict.CORRECT.value
            for row in _greedy(folder, name)
            if row["verdict"]
        }
        for name in ("before", "after")
    ]
    both = [name for name in sides[0] if name in sides[1]]
    verdicts = [[side[name] for name in both] for side in sides]
    if verdicts[0]:
        test = mcnemar_exact(*verdicts)
        yield paragraph(
            f"Greedy: {test.gained} questions gained and {test.lost} lost, McNemar's exact "
            f"p = {test.p:.2g}. Unparsed: {results['before']['greedy']['unparsed']} before, "
            f"{results['after']['greedy']['unparsed']} after; they count as not right."
        )
    yield paragraph("Cut off at the cap, and unparsed, with sampling:")
    yield table(("", "base", "tuned"), list(_cuts(results)))
    baselines = baseline_rows(results)
    if baselines:
        yield paragraph("The untrained model in other settings, the line to beat:")
        yield table(("base", "accuracy", "mean length"), baselines)


def _cuts(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for group in ("sampled", "sampled_at_training_temperature"):
        sides = [results[when][group] for when in ("before", "after")]
        at = f"T = {sides[0]['temperature']:g}"
        total = [side["samples"] * results["before"]["questions"] for side in sides]
        cut = [f"{100 * side['truncation_rate']:.0f} %" for side in sides]
        yield (f"cut off, {at}", cut[0], cut[1])
        unparsed = [f"{side['unparsed']} of {n}" for side, n in zip(sides, total, strict=True)]
        yield (f"unparsed, {at}", unparsed[0], unparsed[1])


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
    doubts = distrust_lines({name: one["after"] for name, one in found.items()})
    blocks = [table(("benchmark", *SCORES[1:]), rows), paragraph(NOTES), items(lines)]
    yield Section("Benchmarks", [*blocks, paragraph("What to distrust:"), items(doubts)])


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
    found = [
        calibration_series(side, rows, colour)
        for colour, (side, rows) in enumerate((("base", before), ("tuned", after)))
    ]
    if any(found):
        chart = Chart(
            "Reliability",
            "confidence",
            "share right",
            [one for one in found if one],
            unit_square=True,
        )
        text = f"Samples at T = 1. {CONFIDENCE}"
        yield Section("Calibration", [paragraph(text), charts([chart])])


def _made(
    folder: Path, results: Mapping[str, Any], config: Mapping[str, Any], metrics: Sequence[Row]
) -> Iterator[Markup]:
    environment = read_json(folder / "environment.json")
    size = int(config["per_device_train_batch_size"]) * int(config["num_generations"])
    tokens = sum(row.get("completion_length") or 0.0 for row in metrics) * size
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
