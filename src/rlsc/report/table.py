"""The before/after table: computed once, shown on the screen and in report.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from rlsc.display import console

Cells = tuple[str, str, str, str]
HEADER: Cells = ("", "base", "tuned", "difference [95 % interval]")


def table_rows(results: Mapping[str, Any]) -> list[Cells]:
    """Rows of (what, base, tuned, difference); empty where the run was not evaluated."""
    if "before" not in results:
        return []
    before, after, delta = results["before"], results["after"], results["difference"]
    rows = []
    if before["greedy"]["n"]:
        rows.append(
            (
                f"greedy accuracy, n = {before['greedy']['n']}",
                _share(before["greedy"], "accuracy"),
                _share(after["greedy"], "accuracy"),
                _difference(delta.get("greedy"), percent=True),
            )
        )
    for name in ("sampled", "sampled_at_training_temperature"):
        base, tuned = before[name], after[name]
        at = f"T = {base['temperature']:g}, {base['samples']} samples, n = {base['n']}"
        if base["n"]:
            for metric, interval in (("pass@1", "interval"), ("majority", "majority_interval")):
                rows.append(
                    (
                        f"{metric}, {at}",
                        _share(base, metric, interval),
                        _share(tuned, metric, interval),
                        _difference(delta.get(f"{name}/{metric}"), percent=True),
                    )
                )
        rows.append((f"mean length, T = {base['temperature']:g}", *_lengths(base, tuned), ""))
    rows.append(
        (
            "mean length, greedy (tokens)",
            *_lengths(before, after),
            _difference(delta.get("mean_length"), percent=False),
        )
    )
    rows.append(
        (
            "truncated, greedy",
            f"{before['greedy']['truncation_rate']:.0%}",
            f"{after['greedy']['truncation_rate']:.0%}",
            "",
        )
    )
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
    table = Table(*HEADER, title=f"{results['questions']}: {results['evaluated_on']}")
    for row in rows:
        table.add_row(*row)
    for name, accuracy, length in baseline_rows(results):
        table.add_row(f"base, {name}", f"{accuracy}, length {length}", "", "")
    console.print(table)


def _share(summary: Mapping[str, Any], key: str, interval: str = "interval") -> str:
    low, high = summary[interval]
    return f"{100 * summary[key]:.1f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _lengths(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    return f"{before['mean_length']:.1f}", f"{after['mean_length']:.1f}"


def _difference(delta: Mapping[str, Any] | None, percent: bool) -> str:
    if delta is None:
        return ""
    scale = 100 if percent else 1
    low, high = delta["interval"]
    value = f"{scale * delta['difference']:+.1f}"
    return f"{value} [{scale * low:+.1f}, {scale * high:+.1f}]" + (" points" if percent else "")
