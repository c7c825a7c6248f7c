"""Benchmark scores for a reader, as cells of tables and as lines; the terminal's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
from rich.table import Table

from rlsc.report import text
from rlsc.report.distrust import listed
from rlsc.runtime.console import console

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


def flipped_lines(found: Result) -> list[str]:
    """Which questions were gained, and which lost."""
    return [f"{key}: {listed(found[key]) or 'none'}" for key in ("gained", "lost")]


NOTES = (
    "95 % intervals in brackets: bootstrap over questions, since samples of one question are not "
    "independent; Wilson's where all are right or none is. Unparsed answers and timeouts are "
    "in every denominator and count as not right."
)


def at_k_table(benchmarks: Mapping[str, Result]) -> text.Table:
    """By number of samples, where there are several."""
    return ("benchmark", "k", "pass@k, %", "majority@k, %"), [
        (marked(name, one), k, _estimate(one["pass@k"][k]), _estimate(one["majority@k"][k]))
        for name, one in benchmarks.items()
        for k in one["pass@k"]
        if one["samples"] > 1
    ]
