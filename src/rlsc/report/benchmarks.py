"""Benchmark scores for a reader: one table, what to distrust in it, controls, comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
import yaml
from rich.table import Table

from rlsc.display import console
from rlsc.report.distrust import distrust_lines, listed
from rlsc.report.eval_plot import plot_benchmarks
from rlsc.report.text import markdown_code_rows, markdown_table
from rlsc.runfolder import CONFIG, ENVIRONMENT, RESULTS, write_text

Result = Mapping[str, Any]

HEADER = (
    "benchmark",
    "n",
    "setting",
    "pass@1, %",
    "majority@k, %",
    "pass@k, %",
    "correct",
    "wrong",
    "unparsed",
    "timeout",
    "tokens",
    "cap",
    "cut off",
    "boxed",
)


def score_rows(benchmarks: Mapping[str, Result]) -> list[tuple[str, ...]]:
    """A row for each benchmark's main setting."""
    return [(_title(one), *score_cells(one)) for one in benchmarks.values()]


def score_cells(one: Result) -> tuple[str, ...]:
    k = max(one["pass@k"], key=int)
    several = int(k) > 1
    verdicts = one["verdicts"]
    return (
        str(one["n"]),
        setting_name(one),
        percent(one["pass@1"], one["interval"]),
        f"k = {k}: " + _estimate(one["majority@k"][k]) if several else "–",
        f"k = {k}: " + _estimate(one["pass@k"][k]) if several else "–",
        *(str(verdicts[name]) for name in ("correct", "wrong", "unparsed", "timeout")),
        f"{one['mean_length']:.0f} (median {one['median_length']:.0f})",
        str(one["max_new_tokens"]),
        f"{100 * one['truncation_rate']:.0f} %",
        f"{100 * one['boxed_rate']:.0f} %",
    )


def setting_name(one: Result) -> str:
    """Template, temperature and samples in words."""
    template = Path(one["template"]).name
    if one["temperature"] == 0:
        return f"{template}, greedy"
    return f"{template}, T = {one['temperature']:g}, {one['samples']} samples"


def _title(one: Result) -> str:
    marks = []
    if one["transductive"]:
        marks.append(f"{len(one['trained_on'])} of {one['n']} trained on: transductive")
    if not one["complete"]:
        marks.append(f"{one['n']} of {one['expected']} questions")
    return one["title"] + (f" ({'; '.join(marks)})" if marks else "")


def marked(name: str, one: Result) -> str:
    """A benchmark's name; in every table one that was trained on says so."""
    return f"{name} (transductive)" if one["transductive"] else name


def percent(value: float, interval: Sequence[float] | None) -> str:
    """`62.4 [51.0, 73.1]`, in %."""
    text = f"{100 * value:.1f}"
    return text + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def _estimate(found: Result) -> str:
    return percent(found["value"], found["interval"])


def print_benchmarks(results: Result) -> None:
    """What fits a terminal: accuracy, what was not graded right or wrong, lengths."""
    settings = {setting_name(one) for one in results["benchmarks"].values()}
    console.print(f"{'; '.join(sorted(settings))}; 95 % intervals in brackets", soft_wrap=True)
    table = Table(box=rich.box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("benchmark", no_wrap=True)
    for column in ("n", "pass@1, %", "majority, %", "unparsed", "timeout", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, one in results["benchmarks"].items():
        k = max(one["majority@k"], key=int)
        table.add_row(
            name + (" *" if one["transductive"] else ""),
            str(one["n"]),
            _short(one["pass@1"], one["interval"]),
            _short(**one["majority@k"][k]) if int(k) > 1 else "–",
            str(one["verdicts"]["unparsed"]),
            str(one["verdicts"]["timeout"]),
            f"{one['mean_length']:.0f}",
        )
    console.print(table)
    for name, one in results["benchmarks"].items():
        if "controls" in one:
            best = next(found for found in one["controls"] if found["setting"] == one["best"])
            share = _short(best["pass@1"], best["interval"])
            console.print(
                f"{name}: best of {len(one['controls'])} settings, {setting_name(best)}: {share}",
                soft_wrap=True,
            )
    if any(one["transductive"] for one in results["benchmarks"].values()):
        console.print("* transductive: trained on some of these questions, see the report")
    if "compared_to" in results and results["compared_to"]["other_settings"]:
        other = ", ".join(results["compared_to"]["other_settings"])
        console.print(f"the baseline was asked under other settings: {other}", soft_wrap=True)
    for name, found in results.get("comparison", {}).items():
        console.print(f"{name}: {difference_text(found)}", soft_wrap=True)


def _short(value: float, interval: Sequence[float] | None) -> str:
    """`62.4 [51, 73]`: a table of 80 columns has no room for more."""
    text = f"{100 * value:.1f}"
    return text + (f" [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]" if interval else "")


def difference_text(found: Result) -> str:
    """The paired difference with its interval and McNemar's p, in a sentence."""
    text = f"{100 * found['difference']:+.1f} points"
    if found["interval"]:
        low, high = found["interval"]
        text += f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return (
        f"{text}, {len(found['gained'])} questions gained and {len(found['lost'])} lost, "
        f"McNemar's exact p = {found['mcnemar_p']:.2g}, n = {found['n']}"
    )


def write_eval_report(folder: Path) -> None:
    """Write report.md and plot.png of an evaluation from its folder."""
    results = json.loads((folder / RESULTS).read_text("utf-8"))
    config = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
    environment = json.loads((folder / ENVIRONMENT).read_text("utf-8"))
    benchmarks = results["benchmarks"]
    plot_benchmarks(benchmarks, folder / "plot.png")
    settings = " ".join(", ".join(f"{key} {value}" for key, value in config.items()).split())
    parts = [
        "# Evaluation",
        f"Model: {results['model']}",
        markdown_table(HEADER, score_rows(benchmarks)),
        NOTES,
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


NOTES = (
    "95 % intervals in brackets: bootstrap over questions, since samples of one question are not "
    "independent; Wilson's where all are right or none is. Unparsed answers and timeouts are "
    "in every denominator and count as not right."
)


def distrust(benchmarks: Mapping[str, Result], heading: str = "##") -> Iterator[str]:
    """What a sceptic asks, for Markdown."""
    lines = distrust_lines(benchmarks)
    if lines:
        yield f"{heading} What to distrust"
        yield "\n".join(f"- {line}" for line in lines)


def _at_k(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    rows = [
        (marked(name, one), k, _estimate(one["pass@k"][k]), _estimate(one["majority@k"][k]))
        for name, one in benchmarks.items()
        for k in one["pass@k"]
        if one["samples"] > 1
    ]
    if rows:
        yield "## By number of samples"
        yield markdown_table(("benchmark", "k", "pass@k, %", "majority@k, %"), rows)


def _calibration(benchmarks: Mapping[str, Result]) -> Iterator[str]:
    rows = []
    for name, one in benchmarks.items():
        found = one["calibration"]
        area, error = found["auroc"], found["expected_calibration_error"]
        rows.append(
            (
                marked(name, one),
                str(found["n"]),
                "–" if area is None else f"{area:.2f}",
                "–" if error is None else f"{error:.2f}",
                f"{100 * one['repetition']:.0f} %",
            )
        )
    yield "## Does confidence predict correctness?"
    yield (
        "Confidence is exp(log-prob per token) under the distribution sampled from. AUROC is the "
        "chance that a right sample has more of it than a wrong one (0.5: none predicts)."
    )
    header = ("benchmark", "samples", "AUROC", "calibration error", "repeated 4-grams")
    yield markdown_table(header, rows)


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
                f"k = {k}: " + _estimate(found["majority@k"][k]) if int(k) > 1 else "–",
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
    """Differences and the questions that flipped, for Markdown."""
    yield f"### {name}"
    lines = [f"{found['before']} → {found['after']}: {difference_text(found)}"]
    if "best" in found:
        best = found["best"]
        lines.append(f"best of each, {best['before']} → {best['after']}: {difference_text(best)}")
    lines += [f"{key}: {listed(found[key]) or 'none'}" for key in ("gained", "lost")]
    yield "\n".join(f"- {line}" for line in lines)
