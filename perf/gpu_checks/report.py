"""The one table, for the terminal and as Markdown, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_checks.checks import Result
from gpu_checks.rows import Row
from rlsc.report.markdown import markdown_table

_COLUMNS = ("check", "s", "what", "value", "may be", "verdict", "note")
_NUMBERS = ("s", "value", "may be")


def content(settings: dict[str, Any], results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """As JSON."""
    checks = [
        {
            "check": result.name,
            "seconds": round(result.seconds, 2),
            "rows": [row.as_json() for row in result.rows],
        }
        for result in results
    ]
    return settings | {"summary": summary(results), "seconds": round(seconds, 1), "checks": checks}


def summary(results: Sequence[Result]) -> str:
    """How many rows are equal and how many not, and of checks, how many gave none."""
    rows = [row for result in results for row in result.rows]

    def count(verdict: str) -> int:
        return sum(row.verdict == verdict for row in rows)

    names = ("equal", "unequal", "failed", "skipped", "not run")
    return ", ".join(f"{count(name)} {name}" for name in names if count(name))


def is_bad(results: Sequence[Result]) -> bool:
    return any(row.is_bad for result in results for row in result.rows)


def markdown(settings: dict[str, Any], results: Sequence[Result]) -> str:
    machine = settings["machine"]
    about = [f"{name} {value}" for name, value in machine.items() if value and name != "device"]
    parts = [
        f"# GPU check: {machine['device']}",
        f"{settings['model']}, {settings['precision']}; {', '.join(about)}",
        markdown_table(_COLUMNS, _table(results)),
        summary(results),
    ]
    return "\n\n".join(parts) + "\n"


def show(settings: dict[str, Any], results: Sequence[Result]) -> None:
    """In the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"GPU check: {settings['machine']['device']}, {settings['model']}")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for line in _table(results):
        table.add_row(*line)
    console = Console()
    console.print(table)
    console.print(summary(results))


def _table(results: Sequence[Result]) -> list[tuple[str, ...]]:
    return [
        (*((result.name, f"{result.seconds:.0f}") if index == 0 else ("", "")), *_cells(row))
        for result in results
        for index, row in enumerate(result.rows)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    value = "" if row.value is None else f"{number(row.value)} {row.unit}"
    bound = "" if row.bound is None else number(row.bound)
    return row.what, value, bound, row.verdict, row.note


def number(value: float) -> str:
    """Three digits."""
    if value == 0 or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
