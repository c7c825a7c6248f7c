"""One table of base, base at its best, and tuned: how each was asked, intervals, differences, p."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlsc.evaluation.changes import PASSES, best_control
from rlsc.report.benchmarks import marked, percent
from rlsc.report.text import Table

Result = Mapping[str, Any]
Cells = tuple[str, ...]

HEADER: Cells = (
    *("benchmark", "model", "accuracy, %"),
    *("to base, points", "p", "to base at its best, points", "p"),
    *("majority of k, %", "n", "k", "T", "template"),
    *("unparsed", "timeout", "tokens", "cut off"),
)
NOTE = (
    "n questions, k samples of each at temperature T (0: greedy), 95 % intervals in brackets: "
    "Wilson's for greedy answers and majorities, a bootstrap over questions for means and paired "
    "differences. Accuracy is right answers over all: unparsed answers and timeouts stay in the "
    "denominator. p: McNemar's exact test, of the majorities where k > 1. The best setting is "
    "chosen on these very questions, so it flatters the base a little."
)


def comparison_table(results: Result) -> Table:
    """Of an evaluation that was held against another."""
    rows: list[Cells] = []
    for name, found in results.get("comparison", {}).items():
        tuned = results["benchmarks"][name]
        if "base" in found:
            rows += _benchmark(name, found["base"], found.get("base_best"), tuned, found)
    return HEADER, rows


def run_table(results: Result, config: Result) -> Table:
    """Of a training run: its own evaluation, then its benchmarks."""
    rows: list[Cells] = []
    if "before" in results:
        rows += _evaluation(results, str(config.get("template") or "chat"))
    for name, one in results.get("benchmarks", {}).items():
        base = one["before"]
        rows += _benchmark(name, base, best_control(base), one["after"], one["difference"])
    return HEADER, rows


def _benchmark(
    name: str, base: Result, base_best: Result | None, tuned: Result, found: Result
) -> Iterator[Cells]:
    title = marked(name, tuned)
    yield _scored(title, "base", base)
    if base_best:
        yield _scored(title, "base at its best", base_best)
    yield _scored(title, "tuned", tuned, found, found.get("against_base_best"))
    if "best" in found:
        best = best_control(tuned)
        assert best is not None
        yield _scored(title, "tuned at its best", best, None, found["best"])


def _scored(
    title: str,
    model: str,
    one: Result,
    to_base: Result | None = None,
    to_best: Result | None = None,
) -> Cells:
    k = str(one["samples"])
    vote = one["majority@k"][k]
    return (
        *(title, model, percent(one["pass@1"], one["interval"])),
        *(*_difference(to_base), *_difference(to_best)),
        percent(vote["value"], vote["interval"]) if one["samples"] > 1 else "–",
        *(str(one["n"]), k, f"{one['temperature']:g}", Path(one["template"]).name),
        *(str(one["verdicts"][name]) for name in ("unparsed", "timeout")),
        f"{one['mean_length']:.0f}",
        f"{100 * one['truncation_rate']:.0f} %",
    )


def _evaluation(results: Result, template: str) -> Iterator[Cells]:
    changes = results.get("changes") or {}
    best = changes.get("untrained_best")
    for group in PASSES:
        if not results["before"][group]["n"]:
            continue
        found = changes[group]["flips"] if changes else None
        yield _asked("base", _flat(results["before"], group), template)
        first = best if group == "greedy" else None
        if first:
            named = f"base at its best: {first['name'].removeprefix('base, ')}"
            yield _asked(named, first, template)
        tuned = _flat(results["after"], group)
        to_best = first["against_tuned_greedy"] if first else None
        yield _asked("tuned", tuned, template, found, to_best)


def _flat(summary: Result, group: str) -> Result:
    """A pass of an evaluation's summary in the names that all have."""
    one = summary[group]
    if group == "greedy":
        plain = {"samples": 1, "temperature": 0.0, "mean_length": summary["mean_length"]}
        return {**one, **plain}
    return {**one, "accuracy": one["pass@1"]}


def _asked(
    model: str,
    one: Result,
    template: str,
    to_base: Result | None = None,
    to_best: Result | None = None,
) -> Cells:
    vote = "–"
    if one["samples"] > 1 and "majority" in one:
        vote = percent(one["majority"], one["majority_interval"])
    return (
        *("evaluation", model, percent(one["accuracy"], one["interval"])),
        *(*_difference(to_base), *_difference(to_best), vote),
        *(str(one["n"]), str(one["samples"]), f"{one['temperature']:g}", Path(template).name),
        *(str(one["unparsed"]), str(one.get("timeouts", "–"))),
        f"{one['mean_length']:.0f}",
        f"{100 * one['truncation_rate']:.0f} %",
    )


def _difference(found: Result | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    text = f"{100 * found['difference']:+.1f}"
    if found["interval"]:
        low, high = found["interval"]
        text += f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return text, f"{found['mcnemar_p']:.2g}"
