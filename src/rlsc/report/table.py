"""The before/after table: computed once, shown on the screen and in report.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich.box
from rich.table import Table

from rlsc.runtime.console import console

Cells = tuple[str, str, str, str]
HEADER: Cells = ("", "base", "tuned", "difference")


def caption(results: Mapping[str, Any]) -> str:
    """What was measured on what: questions, n, samples, cap, intervals."""
    before = results["before"]
    return (
        f"{results['evaluated_on']}; n = {before['greedy']['n']}, "
        f"{before['sampled']['samples']} samples a question where sampled, at most "
        f"{before['max_new_tokens']} new tokens; 95 % intervals in brackets"
    )


def table_rows(results: Mapping[str, Any]) -> list[Cells]:
    """Rows of (what, base, tuned, difference); empty where the run was not evaluated."""
    if "before" not in results:
        return []
    before, after, delta = results["before"], results["after"], results["difference"]
    rows = []
    if before["greedy"]["n"]:
        rows.append(_accuracy("greedy accuracy", before, after, delta, "greedy", "accuracy"))
    for name in ("sampled", "sampled_at_training_temperature"):
        at = f"T = {before[name]['temperature']:g}"
        if before[name]["n"]:
            rows.append(_accuracy(f"pass@1, {at}", before, after, delta, name, "pass@1"))
            rows.append(_accuracy(f"majority, {at}", before, after, delta, name, "majority"))
        rows.append((f"tokens, {at}", *_lengths(before[name], after[name]), ""))
    rows.append(("tokens, greedy", *_lengths(before, after), _difference(delta["mean_length"])))
    cut = [f"{100 * summary['greedy']['truncation_rate']:.0f} %" for summary in (before, after)]
    rows.append(("truncated, greedy", cut[0], cut[1], ""))
    return rows


def baseline_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of (how, accuracy, mean length) for the untrained model in other settings."""
    return [
        (row["name"], _share(row["greedy"], "accuracy"), f"{row['mean_length']:.1f}")
        for row in results.get("baselines", [])
        if row["greedy"]["n"]
    ]


def print_table(results: Mapping[str, Any]) -> None:
    """Show the before/after table, and the base's other settings, on the console."""
    rows = table_rows(results)
    if not rows:
        return
    table = Table(
        *HEADER, title=results["questions"], caption=caption(results), box=rich.box.SIMPLE_HEAD
    )
    for row in rows:
        table.add_row(*row)
    baselines = baseline_rows(results)
    if baselines:
        table.add_section()
    for name, accuracy, length in baselines:
        table.add_row(name, accuracy, "", f"{length} tokens")
    console.print(table)


def _accuracy(
    label: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    delta: Mapping[str, Any],
    group: str,
    key: str,
) -> Cells:
    interval = "majority_interval" if key == "majority" else "interval"
    base, tuned = (_share(summary[group], key, interval) for summary in (before, after))
    name = group if group == "greedy" else f"{group}/{key}"
    return label, base, tuned, _difference(delta[name], scale=100)


def _share(summary: Mapping[str, Any], key: str, interval: str = "interval") -> str:
    text = f"{100 * summary[key]:.1f} %"
    bounds = summary[interval]
    return text + (f" [{100 * bounds[0]:.0f}, {100 * bounds[1]:.0f}]" if bounds else "")


def _lengths(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    return f"{before['mean_length']:.1f}", f"{after['mean_length']:.1f}"


def _difference(delta: Mapping[str, Any], scale: float = 1) -> str:
    text = f"{scale * delta['difference']:+.1f}"
    bounds = delta["interval"]
    return text + (f" [{scale * bounds[0]:+.1f}, {scale * bounds[1]:+.1f}]" if bounds else "")
